"""The modality-agnostic VATT: one transformer for all modalities."""

import keras

from keras_vatt.layers import PatchStem, TransformerEncoder, WordStem
from keras_vatt.models._backbone import (
    MODALITIES,
    VATTBackbone,
    encoder_matrices,
    stem_matrices,
)


@keras.saving.register_keras_serializable(package="keras_vatt")
class VATTAgnosticBackbone(VATTBackbone):
    """VATT with one encoder shared by video, audio and text.

    Each modality has its own patch or word embedding, projection, positions and
    aggregation token; then comes the one encoder; then a Dense layer with GELU
    for each modality. The model of "cross-modality gradient harmonization" (in
    its medium size) and `UniversalVATT` of the original code. Defaults are the
    medium size.

    Args:
        hidden_dim: int. Width of the tokens. Defaults to `1024`.
        intermediate_dim: int. Width of the perceptrons' hidden layer. Defaults
            to `4096`.
        num_layers: int. Number of transformer blocks. Defaults to `12`.
        num_heads: int. Number of attention heads. Defaults to `16`.
        head_dim: int. Width of a head. Defaults to `64`.
        projection_dim: int. Width of the features. Defaults to `1024`.
        video_patch_size: tuple of ints. Frames, rows and columns of a video
            patch. Defaults to `(4, 16, 16)`.
        audio_patch_size: int. Samples of an audio patch. Defaults to `128`.
        video_positions: tuple of ints. Position table sizes in patches over
            time, rows and columns. Defaults to `(8, 14, 14)`.
        audio_positions: int. Position table size in patches. Defaults to
            `1200`.
        text_positions: int. Position table size in words. Defaults to `16`.
        vocabulary_size: int. Number of words. Defaults to `65_536`.
        word_embedding_dim: int. Width of the word vectors. Defaults to `300`.
        trainable_word_embedding: bool. Whether word vectors are trained.
            Defaults to `False`.
        token_keep_rate: float. Part of the video and audio tokens that
            DropToken keeps in training; `1` turns it off. Defaults to `0.5`.
        dropout: float. Dropout rate in training. Defaults to `0.1`.
        layer_norm_epsilon: float. Epsilon of the norms. Defaults to `1e-6`.
        rematerialize: bool. Whether blocks compute their activations again in
            the backward pass, to save memory. Defaults to `False`.
        modalities: tuple of strings. The modalities that the model has.
            Defaults to all three.
        **kwargs: `name`, `dtype`, `trainable`.

    Example:
    ```python
    backbone = keras_vatt.VATTAgnosticBackbone(
        hidden_dim=32, intermediate_dim=64, num_layers=2, num_heads=4, head_dim=8,
        projection_dim=32, vocabulary_size=100,
    )
    features = backbone({"text": np.ones((2, 16), "int32")})
    features["text"]["features_pooled"].shape  # (2, 32)
    ```
    """

    def __init__(
        self,
        hidden_dim=1024,
        intermediate_dim=4096,
        num_layers=12,
        num_heads=16,
        head_dim=64,
        projection_dim=1024,
        video_patch_size=(4, 16, 16),
        audio_patch_size=128,
        video_positions=(8, 14, 14),
        audio_positions=1200,
        text_positions=16,
        vocabulary_size=65_536,
        word_embedding_dim=300,
        trainable_word_embedding=False,
        token_keep_rate=0.5,
        dropout=0.1,
        layer_norm_epsilon=1e-6,
        rematerialize=False,
        modalities=MODALITIES,
        **kwargs,
    ):
        super().__init__(modalities=modalities, **kwargs)
        self.hidden_dim = hidden_dim
        self.intermediate_dim = intermediate_dim
        self.num_layers = num_layers
        self.num_heads = num_heads
        self.head_dim = head_dim
        self.projection_dim = projection_dim
        self.video_patch_size = tuple(video_patch_size)
        self.audio_patch_size = audio_patch_size
        self.video_positions = tuple(video_positions)
        self.audio_positions = audio_positions
        self.text_positions = text_positions
        self.vocabulary_size = vocabulary_size
        self.word_embedding_dim = word_embedding_dim
        self.trainable_word_embedding = trainable_word_embedding
        self.token_keep_rate = token_keep_rate
        self.dropout = dropout
        self.layer_norm_epsilon = layer_norm_epsilon
        self.rematerialize = rematerialize
        self.build(None)

    def build(self, input_shape=None):
        if self.built:
            return
        tokens_shape = (None, None, self.hidden_dim)
        if "video" in self.modalities:
            self.video_stem = self._patch_stem(
                "video_stem", self.video_patch_size, self.video_positions
            )
            self.video_stem.build((None, None, None, None, 3))
        if "audio" in self.modalities:
            self.audio_stem = self._patch_stem(
                "audio_stem", (self.audio_patch_size,), (self.audio_positions,)
            )
            self.audio_stem.build((None, None, 1))
        if "text" in self.modalities:
            self.text_stem = WordStem(
                self.vocabulary_size,
                self.word_embedding_dim,
                self.hidden_dim,
                position_size=self.text_positions,
                trainable_embedding=self.trainable_word_embedding,
                dropout=self.dropout,
                layer_norm_epsilon=self.layer_norm_epsilon,
                dtype=self.dtype_policy,
                name="text_stem",
            )
            self.text_stem.build((None, None))
        self.encoder = TransformerEncoder(
            self.num_layers,
            self.num_heads,
            self.head_dim,
            self.intermediate_dim,
            dropout=self.dropout,
            layer_norm_epsilon=self.layer_norm_epsilon,
            rematerialize=self.rematerialize,
            dtype=self.dtype_policy,
            name="encoder",
        )
        self.encoder.build(tokens_shape)
        for modality in self.modalities:
            projection = keras.layers.Dense(
                self.projection_dim,
                activation="gelu",
                dtype=self.dtype_policy,
                name=f"{modality}_projection",
            )
            projection.build(tokens_shape)
            setattr(self, f"{modality}_projection", projection)
        self.built = True
        self._freeze_new_layers()

    @classmethod
    def minimum_parameters(cls, config):
        hidden_dims = dict.fromkeys(config["modalities"], config["hidden_dim"])
        projection = config["hidden_dim"] * config["projection_dim"]
        return (
            stem_matrices(config, hidden_dims)
            + encoder_matrices(config)
            + len(hidden_dims) * projection
        )

    @property
    def feature_dims(self):
        return dict.fromkeys(self.modalities, self.projection_dim)

    def _patch_stem(self, name, patch_size, positions):
        return PatchStem(
            self.hidden_dim,
            patch_size,
            positions,
            projection=True,
            keep_rate=self.token_keep_rate,
            dropout=self.dropout,
            layer_norm_epsilon=self.layer_norm_epsilon,
            dtype=self.dtype_policy,
            name=name,
        )

    def _encoder(self, modality):
        return self.encoder

    def _projection(self, modality):
        return getattr(self, f"{modality}_projection")

    def get_config(self):
        config = super().get_config()
        config.update(
            {
                "hidden_dim": self.hidden_dim,
                "intermediate_dim": self.intermediate_dim,
                "num_layers": self.num_layers,
                "num_heads": self.num_heads,
                "head_dim": self.head_dim,
                "projection_dim": self.projection_dim,
                "video_patch_size": self.video_patch_size,
                "audio_patch_size": self.audio_patch_size,
                "video_positions": self.video_positions,
                "audio_positions": self.audio_positions,
                "text_positions": self.text_positions,
                "vocabulary_size": self.vocabulary_size,
                "word_embedding_dim": self.word_embedding_dim,
                "trainable_word_embedding": self.trainable_word_embedding,
                "token_keep_rate": self.token_keep_rate,
                "dropout": self.dropout,
                "layer_norm_epsilon": self.layer_norm_epsilon,
                "rematerialize": self.rematerialize,
            }
        )
        return config
