"""The modality-specific VATT: a transformer for each modality."""

import keras

from keras_vatt.layers import PatchStem, TransformerEncoder, WordStem
from keras_vatt.models._backbone import (
    MODALITIES,
    VATTBackbone,
    encoder_matrices,
    stem_matrices,
)

_BASE = {
    "hidden_dim": 768,
    "intermediate_dim": 3072,
    "num_layers": 12,
    "num_heads": 12,
    "head_dim": 64,
}
_SMALL = {
    "hidden_dim": 512,
    "intermediate_dim": 2048,
    "num_layers": 6,
    "num_heads": 8,
    "head_dim": 64,
}


@keras.saving.register_keras_serializable(package="keras_vatt")
class VATTSpecificBackbone(VATTBackbone):
    """VATT with an encoder for each modality.

    Video and audio go through vision-transformer-like encoders, text through a
    T5-style one. There are no projections around the encoders. Defaults are the
    base-base-small model.

    Args:
        video_encoder: dict. Sizes of the video encoder: `hidden_dim`,
            `intermediate_dim`, `num_layers`, `num_heads`, `head_dim`. Defaults
            to base: 768, 3072, 12, 12, 64.
        audio_encoder: dict. Sizes of the audio encoder. Defaults to base.
        text_encoder: dict. Sizes of the text encoder. Defaults to small: 512,
            2048, 6, 8, 64.
        video_patch_size: tuple of ints. Frames, rows and columns of a video
            patch. Defaults to `(4, 16, 16)`.
        audio_patch_size: int. Samples of an audio patch. Defaults to `128`.
        video_positions: tuple of ints. Position table sizes in patches over
            time, rows and columns. Defaults to `(8, 14, 14)`.
        audio_positions: int. Position table size in patches. Defaults to
            `1200`.
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
    tiny = dict(
        hidden_dim=32, intermediate_dim=64, num_layers=2, num_heads=4, head_dim=8
    )
    backbone = keras_vatt.VATTSpecificBackbone(
        video_encoder=tiny, audio_encoder=tiny, text_encoder=tiny, vocabulary_size=100
    )
    features = backbone({"text": np.ones((2, 16), "int32")})
    features["text"]["features_pooled"].shape  # (2, 32)
    ```
    """

    def __init__(
        self,
        video_encoder=None,
        audio_encoder=None,
        text_encoder=None,
        video_patch_size=(4, 16, 16),
        audio_patch_size=128,
        video_positions=(8, 14, 14),
        audio_positions=1200,
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
        self.encoder_sizes = _encoder_sizes(video_encoder, audio_encoder, text_encoder)
        self.video_patch_size = tuple(video_patch_size)
        self.audio_patch_size = audio_patch_size
        self.video_positions = tuple(video_positions)
        self.audio_positions = audio_positions
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
        if "video" in self.modalities:
            self.video_stem = self._patch_stem(
                "video", self.video_patch_size, self.video_positions
            )
            self.video_stem.build((None, None, None, None, 3))
        if "audio" in self.modalities:
            self.audio_stem = self._patch_stem(
                "audio", (self.audio_patch_size,), (self.audio_positions,)
            )
            self.audio_stem.build((None, None, 1))
        if "text" in self.modalities:
            self.text_stem = WordStem(
                self.vocabulary_size,
                self.word_embedding_dim,
                self.feature_dims["text"],
                trainable_embedding=self.trainable_word_embedding,
                dropout=self.dropout,
                dtype=self.dtype_policy,
                name="text_stem",
            )
            self.text_stem.build((None, None))
        for modality in self.modalities:
            encoder = self._transformer(modality)
            encoder.build((None, None, self.feature_dims[modality]))
            setattr(self, f"{modality}_encoder", encoder)
        self.built = True
        self._freeze_new_layers()

    @classmethod
    def minimum_parameters(cls, config):
        sizes = _encoder_sizes(*(config[f"{m}_encoder"] for m in MODALITIES))
        sizes = {modality: sizes[modality] for modality in config["modalities"]}
        hidden_dims = {m: encoder["hidden_dim"] for m, encoder in sizes.items()}
        encoders = sum(encoder_matrices(encoder) for encoder in sizes.values())
        return stem_matrices(config, hidden_dims) + encoders

    @property
    def feature_dims(self):
        return {
            modality: self.encoder_sizes[modality]["hidden_dim"]
            for modality in self.modalities
        }

    def _patch_stem(self, modality, patch_size, positions):
        return PatchStem(
            self.feature_dims[modality],
            patch_size,
            positions,
            keep_rate=self.token_keep_rate,
            dropout=self.dropout,
            layer_norm_epsilon=self.layer_norm_epsilon,
            dtype=self.dtype_policy,
            name=f"{modality}_stem",
        )

    def _transformer(self, modality):
        sizes = self.encoder_sizes[modality]
        return TransformerEncoder(
            sizes["num_layers"],
            sizes["num_heads"],
            sizes["head_dim"],
            sizes["intermediate_dim"],
            dropout=self.dropout,
            layer_norm_epsilon=self.layer_norm_epsilon,
            t5=modality == "text",
            rematerialize=self.rematerialize,
            dtype=self.dtype_policy,
            name=f"{modality}_encoder",
        )

    def _encoder(self, modality):
        return getattr(self, f"{modality}_encoder")

    def _projection(self, modality):
        return None

    def get_config(self):
        config = super().get_config()
        config.update(
            {
                "video_encoder": self.encoder_sizes["video"],
                "audio_encoder": self.encoder_sizes["audio"],
                "text_encoder": self.encoder_sizes["text"],
                "video_patch_size": self.video_patch_size,
                "audio_patch_size": self.audio_patch_size,
                "video_positions": self.video_positions,
                "audio_positions": self.audio_positions,
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


def _encoder_sizes(video, audio, text):
    return {
        "video": dict(video or _BASE),
        "audio": dict(audio or _BASE),
        "text": dict(text or _SMALL),
    }
