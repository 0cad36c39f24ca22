"""The modality-specific VATT: a transformer for each modality."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from keras_vatt.layers._dense_activation import dense_activation
from keras_vatt.models._backbone import MODALITIES, VATTBackbone
from keras_vatt.models._encoder_settings import checked_settings, stem_settings
from keras_vatt.models._parameter_counts import encoder_matrices, stem_matrices

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
    """VATT with a transformer encoder for each modality.

    The encoders of video and audio are vision transformers, the encoder of text is a
    T5 encoder. The defaults are the base-base-small model.

    The dict of an encoder must have its sizes: `hidden_dim`, `intermediate_dim`,
    `num_layers`, `num_heads` and `head_dim`. It may have these settings:

    - `activation`: `"gelu"` (the default), `"relu"` or `"swish"`, in the MLPs and the
      input projection; or `"geglu"` without an input projection.
    - `layer_norm_epsilon`, `dropout`, and for video and audio `token_keep_rate`: those
      of this tower. The norms of the positions have the epsilon of the model. Default
      to the arguments of the model.
    - `input_projection`: whether there is a Dense layer before the encoder. Defaults to
      `False`, for text to `True`.
    - `projection_dim`: width of a Dense layer after the encoder. There is none by
      default. `projection_activation` is its activation, by default `"gelu"`.
    - `use_bias`, `normalize_first` (video and audio): see
      `keras_vatt.layers.TransformerBlock`. Default to `True`.
    - `num_relative_buckets`, `max_relative_distance` (text): see
      `keras_vatt.layers.RelativePositionBias`. Default to 32 and 64.
    - `pooling` (text): `"aggregation_token"` (the default); or without this token
      `"first_word"`, or `"max"` for the maximum over all words.

    Args:
        video_encoder: dict. Sizes and settings of the video encoder. Defaults to
            `None`, the base size: 768, 3072, 12, 12, 64.
        audio_encoder: dict. Sizes and settings of the audio encoder. Defaults to
            `None`, the base size.
        text_encoder: dict. Sizes and settings of the text encoder. Defaults to `None`,
            the small size: 512, 2048, 6, 8, 64.
        video_patch_size: tuple of ints. Frames, rows and columns of a video patch.
            Defaults to `(4, 16, 16)`.
        audio_patch_size: int. Samples of an audio patch. Defaults to `128`.
        video_positions: tuple of ints. Sizes of the position tables in time, rows and
            columns, in patches. Defaults to `(8, 14, 14)`.
        audio_positions: int. Size of the position table, in patches. Defaults to
            `1200`.
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
        **kwargs: `name`, `dtype`, `trainable`.

    Raises:
        ValueError: if the dict of an encoder lacks a size or has an unknown setting.

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
        video_encoder: Mapping[str, Any] | None = None,
        audio_encoder: Mapping[str, Any] | None = None,
        text_encoder: Mapping[str, Any] | None = None,
        video_patch_size: Sequence[int] = (4, 16, 16),
        audio_patch_size: int = 128,
        video_positions: Sequence[int] = (8, 14, 14),
        audio_positions: int = 1200,
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
        **kwargs,
    ):
        super().__init__(
            video_patch_size=video_patch_size,
            audio_patch_size=audio_patch_size,
            video_positions=video_positions,
            audio_positions=audio_positions,
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
        self.encoder_sizes = _encoder_sizes(video_encoder, audio_encoder, text_encoder)
        self.build(None)

    @classmethod
    def minimum_parameters(cls, config: Mapping[str, Any]) -> int:
        sizes = _encoder_sizes(*(config[f"{m}_encoder"] for m in MODALITIES))
        sizes = {modality: sizes[modality] for modality in config["modalities"]}
        hidden_dims = {m: encoder["hidden_dim"] for m, encoder in sizes.items()}
        if "text" in sizes and not sizes["text"].get("input_projection", True):
            hidden_dims["text"] = 0  # No matrix from word vectors to tokens.
        encoders = sum(encoder_matrices(encoder) for encoder in sizes.values())
        return stem_matrices(config, hidden_dims) + encoders

    @property
    def feature_dims(self) -> dict[str, int]:
        return {
            modality: self.encoder_sizes[modality].get("projection_dim", token_dim)
            for modality, token_dim in self._token_dims.items()
        }

    @property
    def _token_dims(self):
        return {
            modality: self.encoder_sizes[modality]["hidden_dim"]
            for modality in self.modalities
        }

    def _build_encoders(self):
        for modality in self.modalities:
            encoder = self._transformer(
                f"{modality}_encoder",
                self.encoder_sizes[modality],
                t5=modality == "text",
            )
            setattr(self, f"{modality}_encoder", encoder)
            projection = self._new_projection(modality)
            if projection is not None:
                setattr(self, f"{modality}_projection", projection)

    def _new_projection(self, modality):
        settings = self.encoder_sizes[modality]
        if "projection_dim" not in settings:
            return None
        projection = keras.layers.Dense(
            settings["projection_dim"],
            activation=dense_activation(settings.get("projection_activation", "gelu")),
            use_bias=modality != "text",
            dtype=self.dtype_policy,
            name=f"{modality}_projection",
        )
        projection.build((None, None, settings["hidden_dim"]))
        return projection

    def _stem_settings(self, modality):
        return stem_settings(modality, self.encoder_sizes[modality])

    def _pools_all_tokens(self, modality):
        return self.encoder_sizes[modality].get("pooling") == "max"

    def _encoder(self, modality):
        return getattr(self, f"{modality}_encoder")

    def _projection(self, modality):
        return getattr(self, f"{modality}_projection", None)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            f"{modality}_encoder": self.encoder_sizes[modality]
            for modality in MODALITIES
        }


def _encoder_sizes(video, audio, text):
    return {
        "video": checked_settings("video", video or _BASE),
        "audio": checked_settings("audio", audio or _BASE),
        "text": checked_settings("text", text or _SMALL),
    }
