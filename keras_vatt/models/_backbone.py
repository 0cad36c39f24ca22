"""What the two VATT backbones share."""

import pathlib

import keras
import keras_nlp
from keras import ops

from keras_vatt._keras_internals import all_layers
from keras_vatt.inference._batch_dtypes import check_channels, check_dtype
from keras_vatt.inference._batch_values import check_values, is_concrete
from keras_vatt.inference._checked_inputs import ChecksInputs
from keras_vatt.models._presets import BackboneFromPreset
from keras_vatt.models._quantization import QuantizesBackbone, quantized_dtype
from keras_vatt.storage import PresetFolder, named_variables
from keras_vatt.storage._finite_weights import check_finite
from keras_vatt.storage._keras_hub_index import names_safetensors
from keras_vatt.storage._safetensors_weights import match_tensors
from keras_vatt.training._kept_weights import KeepsWeights

MODALITIES = ("video", "audio", "text")


class VATTBackbone(
    BackboneFromPreset,
    QuantizesBackbone,
    KeepsWeights,
    ChecksInputs,
    keras_nlp.models.Backbone,
):
    """Base class of the VATT backbones: any subset of modalities to features.

    A subclass builds a stem for each modality (`video_stem`, `audio_stem`,
    `text_stem`), and says in `_encoder` and `_projection` what follows it. All
    weights exist once the constructor is through.

    Args:
        modalities: tuple of strings. The modalities that the model has, any of
            `"video"`, `"audio"` and `"text"`.
        **kwargs: `name`, `dtype`, `trainable`.
    """

    pipeline_tag = "feature-extraction"
    usage_example = (
        'import numpy as np\n\nfeatures = model({"text": np.ones((1, 16), "int32")})'
    )

    def __init__(self, modalities=MODALITIES, **kwargs):
        super().__init__(**kwargs)
        unknown = set(modalities) - set(MODALITIES)
        if unknown or not modalities:
            raise ValueError(
                f"`modalities` must be a non-empty subset of {MODALITIES}. "
                f"Received: modalities={modalities}"
            )
        self.modalities = tuple(m for m in MODALITIES if m in modalities)

    def load_weights(self, filepath, *args, **kwargs):
        """As `keras.Model.load_weights`; and KerasHub's index of a preset of ours.

        With it `keras_nlp.models.Backbone.from_preset` loads what `save_to_preset`
        wrote, as strictly as `from_preset` does.

        Args:
            filepath: string or path, such as `"x.weights.h5"`.
            *args: those of Keras.
            **kwargs: those of Keras.

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

    def call(self, inputs, training=None):
        """Features of the modalities that are given.

        Args:
            inputs: dict from any of the model's modalities to its input; see
                `encode_modality`. `None` counts as not given; other keys are
                ignored.
            training: bool. Whether dropout and DropToken are active.

        Returns:
            Dict from modality to its features; see `encode_modality`.
        """
        return {
            modality: self.encode_modality(modality, inputs[modality], training)
            for modality in self.modalities
            if inputs.get(modality) is not None
        }

    def encode_modality(self, modality, inputs, training=None, pooled_only=False):
        """Features of one modality.

        Args:
            modality: string. One of the model's modalities.
            inputs: for video a `(batch, frames, height, width, 3)` tensor,
                float in [-1, 1] or uint8 in [0, 255]; for audio a
                `(batch, samples, 1)` float tensor in [-1, 1]; for text an int
                tensor of word ids, 0 = padding, `(rows, words)` or
                `(batch, candidates, words)`, which gives
                `batch * candidates` rows.
            training: bool. Whether dropout and DropToken are active. They never are
                where nothing that the modality goes through is trainable: a frozen
                encoder can't learn to bear their noise.
            pooled_only: bool. If `True`, return `"features_pooled"` alone: the
                same numbers for less work, as the last block, the final norm
                and the projection run on the aggregation token only. Defaults
                to `False`.

        Returns:
            Dict with `"features_pooled"`, `(rows, features_dim)`, and unless
            `pooled_only` is `True` with `"features"`:
            `(rows, tokens, features_dim)`, for video
            `(rows, frames, rows, columns, features_dim)` of the patch grid
            unless DropToken has dropped some.

        Raises:
            ValueError: if the model has no such modality, or if an input is
                too small for a single patch, of another rank, of another
                dtype, or with its channels elsewhere; and outside of compiled
                programs if frames or samples are of another scale, or word ids
                beyond the vocabulary.
        """
        if modality not in self.modalities:
            raise ValueError(
                f"This backbone has no modality '{modality}'. It has: {self.modalities}"
            )
        stem = getattr(self, f"{modality}_stem")
        inputs = self._prepared(modality, inputs, stem)
        training = training and self._is_trainable(modality)
        attention_mask = stem.attention_mask(inputs) if modality == "text" else None
        hidden = self._encoder(modality)(
            stem(inputs, training=training),
            attention_mask=attention_mask,
            training=training,
            first_token_only=pooled_only,
        )
        projection = self._projection(modality)
        if projection is not None:
            hidden = projection(hidden)
        pooled = hidden[:, 0]
        if pooled_only:
            return {"features_pooled": pooled}
        features = hidden[:, 1:]
        if modality == "video":
            features = _on_grid(features, stem.grid(inputs.shape))
        return {"features_pooled": pooled, "features": features}

    def enable_lora(self, rank, target_layer_names=None):
        """Freeze the backbone and train low-rank changes of some matrices instead.

        Each targeted Dense layer gets two matrices whose product, at first zero, is
        added to its kernel: outputs are exactly what they were. Nothing else of the
        backbone is trainable from then on, biases included. Compile the model after
        it.

        `save_lora_weights("mine.lora.h5")` keeps these matrices alone, and
        `load_lora_weights` puts them on the same backbone again. Saving the whole
        model, as a preset or as a `.keras` file, adds them to the kernels: what is
        loaded has the same outputs and no LoRA.

        Args:
            rank: int. Rank of the product.
            target_layer_names: list of strings, names of Dense layers, such as
                `"query"`, `"key"`, `"value"`, `"output"` of attention and `"inner"`,
                `"outer"` of perceptrons. Defaults to `None`, `"query"` and `"value"`
                of all blocks.

        Raises:
            ValueError: if the rank is no positive int, LoRA is on already, or the names
                are not those of Dense layers.

        Example:
        ```python
        classifier.backbone.enable_lora(rank=4)
        classifier.compile(optimizer="adam", loss=loss)
        classifier.fit(dataset, epochs=3)
        classifier.backbone.save_lora_weights("mine.lora.h5")
        ```
        """
        targets = [
            layer
            for layer in all_layers(self, include_self=False)
            if layer.name in (target_layer_names or self.default_lora_layer_names())
            and hasattr(layer, "enable_lora")
        ]
        _check_lora(rank, target_layer_names, targets)
        super().enable_lora(rank, target_layer_names)
        for layer in targets:
            if layer.bias is not None:
                layer.bias.trainable = False  # It is not among the saved weights.

    def modality_layers(self, modality):
        """The layers that one modality goes through.

        Args:
            modality: string. One of the model's modalities.

        Returns:
            Dict with `"stem"`, `"encoder"` and, where there is one, `"projection"`.
        """
        layers = {
            "stem": getattr(self, f"{modality}_stem"),
            "encoder": self._encoder(modality),
            "projection": self._projection(modality),
        }
        return {name: layer for name, layer in layers.items() if layer is not None}

    @classmethod
    def minimum_parameters(cls, config):
        """How many parameters a model of these sizes has at least.

        Args:
            config: dict of all arguments of the constructor.

        Returns:
            int, the sizes of the large matrices.
        """
        raise NotImplementedError

    @property
    def feature_dims(self):
        """Dict from modality to the width of its features."""
        raise NotImplementedError

    def _freeze_new_layers(self):
        """Freezes the layers of a backbone that was made frozen, before it had them."""
        if self.trainable:
            return
        # Not by the backbone's own flag: TensorFlow skips an assignment of the value
        # that an attribute has, and the setter with it.
        for layer in all_layers(self, include_self=False, recursive=False):
            layer.trainable = False

    def _is_trainable(self, modality):
        layers = self.modality_layers(modality).values()
        return any(layer.trainable_variables for layer in layers)

    def _prepared(self, modality, inputs, stem):
        check_dtype(modality, inputs.dtype)
        check_channels(modality, inputs.shape)
        if is_concrete(inputs):
            check_values(modality, inputs, self.vocabulary_size)
        rank = {"video": 5, "audio": 3, "text": 2}[modality]
        if modality == "text":
            if len(inputs.shape) == 3:
                inputs = ops.reshape(inputs, (-1, inputs.shape[-1]))
            inputs = ops.cast(inputs, "int32")
        if len(inputs.shape) != rank:
            raise ValueError(
                f"Input '{modality}' must have rank {rank}"
                f"{' or 3' if modality == 'text' else ''}. "
                f"Received: shape={tuple(inputs.shape)}"
            )
        if modality == "text":
            return inputs
        if None in inputs.shape[1:]:
            raise ValueError(
                "A compiled program of TensorFlow takes clips of one shape. Received: "
                f"'{modality}' of another shape than the first batch had"
            )
        if 0 in stem.grid(inputs.shape):
            raise ValueError(
                f"Input '{modality}' is smaller than one patch of "
                f"{stem.patch_size}. Received: shape={tuple(inputs.shape)}"
            )
        if keras.backend.standardize_dtype(inputs.dtype) == "uint8":
            return ops.cast(inputs, self.compute_dtype) / 127.5 - 1.0
        return ops.cast(inputs, self.compute_dtype)

    def _encoder(self, modality):
        raise NotImplementedError

    def _projection(self, modality):
        raise NotImplementedError

    def get_config(self):
        # Not KerasHub's, which makes the layers' quantized dtypes forget their names.
        return {
            "name": self.name,
            "trainable": self.trainable,
            "dtype": keras.dtype_policies.serialize(quantized_dtype(self)),
            "modalities": self.modalities,
        }


def encoder_matrices(sizes):
    """Parameters in the matrices of a `TransformerEncoder`, an int.

    Args:
        sizes: dict of `hidden_dim`, `intermediate_dim`, `num_layers`, `num_heads`
            and `head_dim`.
    """
    attention = 4 * sizes["num_heads"] * sizes["head_dim"]
    per_token = attention + 2 * sizes["intermediate_dim"]
    return sizes["num_layers"] * sizes["hidden_dim"] * per_token


def stem_matrices(config, hidden_dims):
    """Parameters in the embeddings and position tables of all modalities, an int.

    Args:
        config: dict of all arguments of a backbone's constructor.
        hidden_dims: dict from modality to the width of its tokens.
    """
    frames, rows, columns = config["video_patch_size"]
    counts = {
        "video": 3 * frames * rows * columns + sum(config["video_positions"]),
        "audio": config["audio_patch_size"] + config["audio_positions"],
        "text": config["word_embedding_dim"],
    }
    total = sum(counts[modality] * dim for modality, dim in hidden_dims.items())
    if "text" in hidden_dims:
        total += config["vocabulary_size"] * config["word_embedding_dim"]
    return total


def _check_lora(rank, names, targets):
    if not isinstance(rank, int) or rank < 1:
        raise ValueError(f"`rank` must be a positive int. Received: rank={rank}")
    if not targets or not all(isinstance(t, keras.layers.Dense) for t in targets):
        raise ValueError(
            "LoRA goes into Dense layers of the backbone, and these names are not "
            f"theirs. Received: target_layer_names={names}"
        )
    if any(layer.lora_enabled for layer in targets):
        raise ValueError(
            "LoRA is already enabled on this backbone. Load the model again for "
            "another one."
        )


def _on_grid(features, grid):
    """Tokens back on the patch grid, if they are all there."""
    count = 1
    for length in grid:
        count *= length
    if features.shape[1] != count:
        return features
    return ops.reshape(features, (-1, *grid, features.shape[-1]))
