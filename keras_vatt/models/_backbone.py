"""Base class of the VATT backbones."""

import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from keras_vatt._keras_internals import all_layers
from keras_vatt.inference._batch_dtypes import check_channels, check_dtype
from keras_vatt.inference._batch_values import check_values, is_concrete
from keras_vatt.inference._checked_inputs import ChecksInputs
from keras_vatt.layers import PatchStem, TransformerEncoder, WordStem
from keras_vatt.layers._inner_call import call_inner
from keras_vatt.models._keras_hub import Backbone
from keras_vatt.models._lora import TrainsLora
from keras_vatt.models._preset_backbone import BackboneFromPreset
from keras_vatt.models._quantization import QuantizesBackbone, quantized_dtype
from keras_vatt.storage import PresetFolder, named_variables
from keras_vatt.storage._finite_weights import check_finite
from keras_vatt.storage._keras_hub_index import names_safetensors
from keras_vatt.storage._safetensors_weights import match_tensors
from keras_vatt.training._kept_weights import KeepsWeights

MODALITIES = ("video", "audio", "text")
_RANKS = {"video": 5, "audio": 3, "text": 2}
# Arguments of an encoder that the settings of a tower may have besides its sizes.
_ENCODER_OPTIONS = (
    "activation",
    "use_bias",
    "normalize_first",
    "dropout",
    "layer_norm_epsilon",
    "num_relative_buckets",
    "max_relative_distance",
)


class VATTBackbone(
    BackboneFromPreset,
    QuantizesBackbone,
    TrainsLora,
    KeepsWeights,
    ChecksInputs,
    Backbone,
):
    """Base class of the VATT backbones, which compute features of each modality.

    It makes the stem of each modality (patch or word embedding, positions, aggregation
    token). `keras_vatt.VATTAgnosticBackbone` adds one transformer encoder for all
    modalities, `keras_vatt.VATTSpecificBackbone` one for each. All weights are created
    by the constructor.

    Use it to load a backbone of either kind: `VATTBackbone.from_preset(preset)`.

    Args:
        video_patch_size: tuple of ints. Frames, rows and columns of a video patch.
            Defaults to `(4, 16, 16)`.
        audio_patch_size: int. Samples of an audio patch. Defaults to `128`.
        video_positions: tuple of ints. Sizes of the position tables in time, rows and
            columns, in patches. Defaults to `(8, 14, 14)`.
        audio_positions: int. Size of the position table, in patches. Defaults to
            `1200`.
        text_positions: int. Size of the position table, in words. Defaults to `None`,
            no table.
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
        ValueError: if `modalities` is empty or has an unknown name.
    """

    pipeline_tag = "feature-extraction"
    usage_example = (
        'import numpy as np\n\nfeatures = model({"text": np.ones((1, 16), "int32")})'
    )

    def __init__(
        self,
        video_patch_size: Sequence[int] = (4, 16, 16),
        audio_patch_size: int = 128,
        video_positions: Sequence[int] = (8, 14, 14),
        audio_positions: int = 1200,
        text_positions: int | None = None,
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
        super().__init__(**kwargs)
        unknown = set(modalities) - set(MODALITIES)
        if unknown or not modalities:
            raise ValueError(
                f"`modalities` must be a non-empty subset of {MODALITIES}. "
                f"Received: modalities={modalities}"
            )
        self.modalities = tuple(m for m in MODALITIES if m in modalities)
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
        self.audio_patch_stride = audio_patch_stride
        self.position_norm_epsilon = position_norm_epsilon

    def build(self, input_shape: Any = None) -> None:
        if self.built:
            return
        self._build_stems()
        self._build_encoders()
        self.built = True
        self._freeze_new_layers()

    def load_weights(self, filepath: str | os.PathLike, *args, **kwargs) -> None:
        """Loads weights like `keras.Model.load_weights`, or those of a preset.

        KerasHub calls it with the index of a preset's safetensors files, so that
        `keras_hub.models.Backbone.from_preset` loads our presets with the same checks
        as `from_preset`.

        Args:
            filepath: string or path, such as `"x.weights.h5"`, or
                `"model.weights.json"` in the folder of a preset.
            *args: see `keras.Model.load_weights`.
            **kwargs: see `keras.Model.load_weights`.

        Raises:
            PresetError: if the weights of a preset are damaged.
            WeightsMismatchError: if they don't fit the backbone.
        """
        if not names_safetensors(filepath):
            super().load_weights(filepath, *args, **kwargs)
            return
        folder = PresetFolder(pathlib.Path(filepath).parent)
        folder.check_weights()
        tensors = {
            name: tensor
            for name, tensor in folder.stored_tensors().items()
            if name.startswith("backbone/")
        }
        matched = match_tensors(named_variables(self), tensors, folder.name)
        for variable, tensor in matched:
            values = tensor.read()
            check_finite(values, variable.dtype, variable.path)
            variable.assign(values)

    def call(
        self, inputs: Mapping[str, Any], training: bool | None = None
    ) -> dict[str, dict[str, Any]]:
        """Computes the features of the given modalities.

        Args:
            inputs: dict from modality to input; see `encode_modality`. `None` counts
                as not given. Keys that are not modalities of the model are ignored.
            training: bool. Whether dropout and DropToken are active.

        Returns:
            Dict from modality to its features; see `encode_modality`.
        """
        return {
            modality: self.encode_modality(modality, inputs[modality], training)
            for modality in self.modalities
            if inputs.get(modality) is not None
        }

    def encode_modality(
        self,
        modality: str,
        inputs: Any,
        training: bool | None = None,
        pooled_only: bool = False,
    ) -> dict[str, Any]:
        """Computes the features of one modality.

        Args:
            modality: string. One of the model's modalities.
            inputs: for video a `(batch, frames, height, width, 3)` tensor, float in
                [-1, 1] or uint8 in [0, 255]; for audio a `(batch, samples, 1)` float
                tensor in [-1, 1]; for text an int tensor of word ids, 0 = padding,
                `(rows, words)` or `(batch, candidates, words)`, which gives
                `batch * candidates` rows.
            training: bool. Whether dropout and DropToken are active. They are never
                active if no layer of the modality is trainable: frozen weights can't
                adapt to the noise.
            pooled_only: bool. Whether to return only `"features_pooled"`. The values
                are the same for less computation: the last block, the final norm and
                the projection run on the aggregation token alone. Defaults to `False`.

        Returns:
            Dict with `"features_pooled"` of shape `(rows, features_dim)`, and, unless
            `pooled_only` is `True`, `"features"` of shape
            `(rows, tokens, features_dim)`. Features of video have the shape
            `(batch, frames, rows, columns, features_dim)` of the patch grid, unless
            DropToken has dropped some.

        Raises:
            ValueError: if the model has no such modality; if an input is smaller than
                a patch, or has another rank, dtype or order of axes; and, outside of
                compiled functions, if frames or samples have another scale or word ids
                exceed the vocabulary.
        """
        if modality not in self.modalities:
            raise ValueError(
                f"This backbone has no modality '{modality}'. It has: {self.modalities}"
            )
        stem = getattr(self, f"{modality}_stem")
        inputs = self._prepared(modality, inputs, stem)
        training = training and self._is_trainable(modality)
        attention_mask = stem.attention_mask(inputs) if modality == "text" else None
        hidden = call_inner(
            self._encoder(modality),
            call_inner(stem, inputs, training=training),
            attention_mask=attention_mask,
            training=training,
            first_token_only=pooled_only and not self._pools_all_tokens(modality),
        )
        projection = self._projection(modality)
        if projection is not None:
            hidden = call_inner(projection, hidden)
        if self._pools_all_tokens(modality):
            pooled, features = ops.max(hidden, axis=1), hidden
        else:
            pooled, features = hidden[:, 0], hidden[:, 1:]
        if pooled_only:
            return {"features_pooled": pooled}
        if modality == "video":
            features = _on_grid(features, stem.grid(inputs.shape))
        return {"features_pooled": pooled, "features": features}

    def modality_layers(self, modality: str) -> dict[str, keras.layers.Layer]:
        """Returns the layers of one modality.

        Args:
            modality: string. One of the model's modalities.

        Returns:
            Dict with `"stem"`, `"encoder"` and, if the model has one, `"projection"`.
        """
        layers = {
            "stem": getattr(self, f"{modality}_stem"),
            "encoder": self._encoder(modality),
            "projection": self._projection(modality),
        }
        return {name: layer for name, layer in layers.items() if layer is not None}

    @classmethod
    def minimum_parameters(cls, config: Mapping[str, Any]) -> int:
        """Computes a lower bound on the number of parameters of a model.

        Args:
            config: dict of all arguments of the constructor.

        Returns:
            int, the total size of the large matrices.
        """
        raise NotImplementedError

    @property
    def feature_dims(self) -> dict[str, int]:
        """Dict from modality to the width of its features."""
        raise NotImplementedError

    @property
    def audio_clip_samples(self) -> int:
        """Samples of an audio clip that uses all positions, an int."""
        stride = self.audio_patch_stride or self.audio_patch_size
        return self.audio_patch_size + stride * (self.audio_positions - 1)

    @property
    def _token_dims(self):
        """Dict from modality to the width of the tokens of its encoder."""
        raise NotImplementedError

    def _build_encoders(self):
        """Makes and builds the encoders, and what follows them."""
        raise NotImplementedError

    def _encoder(self, modality):
        raise NotImplementedError

    def _projection(self, modality):
        raise NotImplementedError

    def _stem_settings(self, modality):
        """Returns the arguments of a stem that depend on the kind of backbone."""
        raise NotImplementedError

    def _pools_all_tokens(self, modality):
        """Returns whether the pooled feature is the maximum over all tokens."""
        return False

    def _build_stems(self):
        if "video" in self.modalities:
            self.video_stem = self._patch_stem(
                "video", self.video_patch_size, None, self.video_positions
            )
            self.video_stem.build((None, None, None, None, 3))
        if "audio" in self.modalities:
            self.audio_stem = self._patch_stem(
                "audio",
                (self.audio_patch_size,),
                self.audio_patch_stride and (self.audio_patch_stride,),
                (self.audio_positions,),
            )
            self.audio_stem.build((None, None, 1))
        if "text" in self.modalities:
            self.text_stem = WordStem(
                self.vocabulary_size,
                self.word_embedding_dim,
                self._token_dims["text"],
                position_size=self.text_positions,
                trainable_embedding=self.trainable_word_embedding,
                layer_norm_epsilon=self._position_epsilon,
                dtype=self.dtype_policy,
                name="text_stem",
                **{"dropout": self.dropout} | self._stem_settings("text"),
            )
            self.text_stem.build((None, None))

    @property
    def _position_epsilon(self):
        if self.position_norm_epsilon is None:
            return self.layer_norm_epsilon
        return self.position_norm_epsilon

    def _patch_stem(self, modality, patch_size, patch_stride, positions):
        common = {"keep_rate": self.token_keep_rate, "dropout": self.dropout}
        return PatchStem(
            self._token_dims[modality],
            patch_size,
            positions,
            layer_norm_epsilon=self._position_epsilon,
            patch_stride=patch_stride,
            dtype=self.dtype_policy,
            name=f"{modality}_stem",
            **common | self._stem_settings(modality),
        )

    def _transformer(self, name, sizes, t5=False):
        common = {
            "dropout": self.dropout,
            "layer_norm_epsilon": self.layer_norm_epsilon,
        }
        encoder = TransformerEncoder(
            sizes["num_layers"],
            sizes["num_heads"],
            sizes["head_dim"],
            sizes["intermediate_dim"],
            t5=t5,
            rematerialize=self.rematerialize,
            dtype=self.dtype_policy,
            name=name,
            **common | {key: sizes[key] for key in _ENCODER_OPTIONS if key in sizes},
        )
        encoder.build((None, None, sizes["hidden_dim"]))
        return encoder

    def _freeze_new_layers(self):
        """Freezes the layers if the backbone was frozen before it was built."""
        if self.trainable:
            return
        # Setting the backbone's own flag has no effect on TensorFlow, which skips the
        # setter if the value of an attribute doesn't change.
        for layer in all_layers(self, include_self=False, recursive=False):
            layer.trainable = False

    def _is_trainable(self, modality):
        layers = self.modality_layers(modality).values()
        return any(layer.trainable_variables for layer in layers)

    def _prepared(self, modality, inputs, stem):
        """Checks an input and casts it to the dtype of the stem."""
        check_dtype(modality, inputs.dtype)
        check_channels(modality, inputs.shape)
        if is_concrete(inputs):
            check_values(modality, inputs, self.vocabulary_size)
        if modality == "text":
            if len(inputs.shape) == 3:
                inputs = ops.reshape(inputs, (-1, inputs.shape[-1]))
            inputs = ops.cast(inputs, "int32")
        _check_rank(modality, inputs.shape)
        if modality == "text":
            return inputs
        _check_extent(modality, inputs.shape, stem)
        if keras.backend.standardize_dtype(inputs.dtype) == "uint8":
            return ops.cast(inputs, self.compute_dtype) / 127.5 - 1.0
        return ops.cast(inputs, self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        # KerasHub's version loses the names of the quantized layers.
        config = {
            "name": self.name,
            "trainable": self.trainable,
            "dtype": keras.dtype_policies.serialize(quantized_dtype(self)),
            "modalities": self.modalities,
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
        # The configs of presets saved before don't change.
        return config | changed_arguments(
            self, {"audio_patch_stride": None, "position_norm_epsilon": None}
        )


def changed_arguments(layer, defaults):
    """Returns the arguments of a layer that differ from their defaults.

    Args:
        layer: an object with an attribute for each argument.
        defaults: dict from argument to default.

    Returns:
        Dict from argument to value.
    """
    values = {name: getattr(layer, name) for name in defaults}
    return {k: value for k, value in values.items() if value != defaults[k]}


def _check_rank(modality, shape):
    if len(shape) != _RANKS[modality]:
        raise ValueError(
            f"Input '{modality}' must have rank {_RANKS[modality]}"
            f"{' or 3' if modality == 'text' else ''}. Received: shape={tuple(shape)}"
        )


def _check_extent(modality, shape, stem):
    if None in shape[1:]:
        raise ValueError(
            f"A compiled TensorFlow function takes '{modality}' of one shape. Use "
            "clips of one shape, or compile the model again before the shape changes."
        )
    if 0 in stem.grid(shape):
        raise ValueError(
            f"Input '{modality}' is smaller than one patch of {stem.patch_size}. "
            f"Received: shape={tuple(shape)}"
        )


def _on_grid(features, grid):
    """Reshapes tokens to the patch grid, unless some were dropped."""
    count = 1
    for length in grid:
        count *= length
    if features.shape[1] != count:
        return features
    return ops.reshape(features, (-1, *grid, features.shape[-1]))
