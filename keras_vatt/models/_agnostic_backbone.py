"""The modality-agnostic VATT: one transformer for all modalities."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from keras_vatt.layers._dense_activation import dense_activation
from keras_vatt.models._backbone import MODALITIES, VATTBackbone, changed_arguments
from keras_vatt.models._parameter_counts import encoder_matrices, stem_matrices

_SIZES = ("hidden_dim", "intermediate_dim", "num_layers", "num_heads", "head_dim")
_OPTIONS = {
    "activation": "gelu",
    "use_bias": True,
    "normalize_first": True,
    "projection_activation": "gelu",
}


@keras.saving.register_keras_serializable(package="keras_vatt")
class VATTAgnosticBackbone(VATTBackbone):
    """VATT with one transformer encoder shared by video, audio and text.

    Each modality has its own patch or word embedding, projection, positions and
    aggregation token. After the shared encoder it has its own Dense layer.
    This is `UniversalVATT` of the original code, and in its medium size, the default,
    the model of "Scaling Multimodal Pre-Training via Cross-Modality Gradient
    Harmonization".

    Args:
        hidden_dim: int. Width of the tokens. Defaults to `1024`.
        intermediate_dim: int. Width of the MLP's hidden layer. Defaults to `4096`.
        num_layers: int. Number of transformer blocks. Defaults to `12`.
        num_heads: int. Number of attention heads. Defaults to `16`.
        head_dim: int. Width of a head. Defaults to `64`.
        projection_dim: int. Width of the features. Defaults to `1024`.
        video_patch_size: tuple of ints. Frames, rows and columns of a video patch.
            Defaults to `(4, 16, 16)`.
        audio_patch_size: int. Samples of an audio patch. Defaults to `128`.
        video_positions: tuple of ints. Sizes of the position tables in time, rows and
            columns, in patches. Defaults to `(8, 14, 14)`.
        audio_positions: int. Size of the position table, in patches. Defaults to
            `1200`.
        text_positions: int. Size of the position table, in words. Defaults to `16`.
        vocabulary_size: int. Number of words. Defaults to `65_536`.
        word_embedding_dim: int. Width of the word vectors. Defaults to `300`.
        trainable_word_embedding: bool. Whether the word vectors are trained. Defaults
            to `False`.
        token_keep_rate: float. Fraction of the video and audio tokens that DropToken
            keeps in training; `1` disables it. Defaults to `0.5`.
        dropout: float. Dropout rate in training. Defaults to `0.1`.
        layer_norm_epsilon: float. Epsilon of the layer norms. Defaults to `1e-6`.
        rematerialize: bool. Whether blocks recompute their activations in the backward
            pass, which saves memory. Defaults to `False`.
        modalities: tuple of strings. The modalities of the model, any of `"video"`,
            `"audio"` and `"text"`. Defaults to all three.
        audio_patch_stride: int. Samples between the starts of two audio patches. They
            overlap if it is below `audio_patch_size`. Defaults to `None`,
            `audio_patch_size`.
        position_norm_epsilon: float. Epsilon of the norms of the positions. Defaults to
            `None`, `layer_norm_epsilon`.
        activation: string. Activation of the MLPs and of the projections before the
            encoder: `"gelu"`, `"relu"` or `"swish"`. Defaults to `"gelu"`.
        use_bias: bool. Whether the encoder's attention and MLPs have biases. Defaults
            to `True`.
        normalize_first: bool. Whether the encoder is pre-norm, or post-norm; see
            `keras_vatt.layers.TransformerBlock`. Defaults to `True`.
        projection_activation: string. Activation of the Dense layers after the encoder.
            Defaults to `"gelu"`.
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
        hidden_dim: int = 1024,
        intermediate_dim: int = 4096,
        num_layers: int = 12,
        num_heads: int = 16,
        head_dim: int = 64,
        projection_dim: int = 1024,
        video_patch_size: Sequence[int] = (4, 16, 16),
        audio_patch_size: int = 128,
        video_positions: Sequence[int] = (8, 14, 14),
        audio_positions: int = 1200,
        text_positions: int = 16,
        vocabulary_size: int = 65_536,
        word_embedding_dim: int = 300,
        trainable_word_embedding: bool = False,
        token_keep_rate: float = 0.5,
        dropout: float = 0.1,
        layer_norm_epsilon: float = 1e-6,
        rematerialize: bool = False,
        modalities: Sequence[str] = MODALITIES,
        audio_patch_stride: int | None = None,
        position_norm_epsilon: float | None = None,
        activation: str = "gelu",
        use_bias: bool = True,
        normalize_first: bool = True,
        projection_activation: str = "gelu",
        **kwargs,
    ):
        super().__init__(
            video_patch_size=video_patch_size,
            audio_patch_size=audio_patch_size,
            video_positions=video_positions,
            audio_positions=audio_positions,
            text_positions=text_positions,
            vocabulary_size=vocabulary_size,
            word_embedding_dim=word_embedding_dim,
            trainable_word_embedding=trainable_word_embedding,
            token_keep_rate=token_keep_rate,
            dropout=dropout,
            layer_norm_epsilon=layer_norm_epsilon,
            rematerialize=rematerialize,
            modalities=modalities,
            audio_patch_stride=audio_patch_stride,
            position_norm_epsilon=position_norm_epsilon,
            **kwargs,
        )
        self.hidden_dim = hidden_dim
        self.intermediate_dim = intermediate_dim
        self.num_layers = num_layers
        self.num_heads = num_heads
        self.head_dim = head_dim
        self.projection_dim = projection_dim
        self.activation = activation
        self.use_bias = use_bias
        self.normalize_first = normalize_first
        self.projection_activation = projection_activation
        self.build(None)

    @classmethod
    def minimum_parameters(cls, config: Mapping[str, Any]) -> int:
        hidden_dims = dict.fromkeys(config["modalities"], config["hidden_dim"])
        projection = config["hidden_dim"] * config["projection_dim"]
        return (
            stem_matrices(config, hidden_dims)
            + encoder_matrices(config)
            + len(hidden_dims) * projection
        )

    @property
    def feature_dims(self) -> dict[str, int]:
        return dict.fromkeys(self.modalities, self.projection_dim)

    @property
    def _token_dims(self):
        return dict.fromkeys(self.modalities, self.hidden_dim)

    def _build_encoders(self):
        settings = {name: getattr(self, name) for name in (*_SIZES, *_OPTIONS)}
        self.encoder = self._transformer("encoder", settings)
        for modality in self.modalities:
            projection = keras.layers.Dense(
                self.projection_dim,
                activation=dense_activation(self.projection_activation),
                dtype=self.dtype_policy,
                name=f"{modality}_projection",
            )
            projection.build((None, None, self.hidden_dim))
            setattr(self, f"{modality}_projection", projection)

    def _stem_settings(self, modality):
        return {"projection": True, "activation": self.activation}

    def _encoder(self, modality):
        return self.encoder

    def _projection(self, modality):
        return getattr(self, f"{modality}_projection")

    def get_config(self) -> dict[str, Any]:
        sizes = {name: getattr(self, name) for name in _SIZES}
        own = {
            "projection_dim": self.projection_dim,
            "text_positions": self.text_positions,
        }
        return super().get_config() | sizes | own | changed_arguments(self, _OPTIONS)
