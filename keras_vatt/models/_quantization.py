"""Backbones with whole numbers of 8 bits for weights."""

import contextlib
import gc
import re

import keras

from keras_vatt._keras_internals import all_layers


class QuantizesBackbone:
    """What backbones and tasks share: `quantize`."""

    def quantize(self, mode="int8", config=None, filters=None):
        """Turn the large matrices of the backbone into int8, for inference.

        Dense layers (attention, perceptrons, projections) and word vectors become
        int8 with a float scale for each output or word; the inputs of Dense layers are
        rounded to int8 as they come. Patch embeddings, positions and norms stay floats,
        and so do the heads of tasks. Outputs change a little: measure how much it
        matters to you. What is quantized can't be trained, but for LoRA weights that
        `VATTBackbone.enable_lora` adds.

        A quantized model is saved and loaded like any other. Quantize on a model with
        weights; compiled functions are made anew.

        Args:
            mode: string. Only `"int8"`, the default.
            config: `keras.quantizers.Int8QuantizationConfig`, only with its defaults:
                other quantizers would not be saved with the model. Defaults to `None`.
            filters: what `keras.Model.quantize` takes, a pattern or a list of patterns
                of layer names or a function of a layer: which of those layers to
                quantize. Defaults to `None`, all.

        Raises:
            ValueError: for another mode or config.

        Example:
        ```python
        model = keras_vatt.VATT.from_preset("vatt_tiny_agnostic")
        model.quantize("int8")
        model.save_to_preset("vatt_tiny_int8")
        ```
        """
        _check(mode, config)
        backbone = getattr(self, "backbone", self)
        chosen = {
            id(layer)
            for layer in all_layers(backbone)
            if isinstance(layer, keras.layers.Dense | keras.layers.Embedding)
            and layer.quantization_mode is None
            and _passes(layer, filters)
        }
        with _one_garbage_collection():
            super().quantize(mode, filters=lambda layer: id(layer) in chosen)


@contextlib.contextmanager
def _one_garbage_collection():
    """Keras looks for garbage in all there is after each layer, which takes seconds."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.collect()


def quantized_dtype(model):
    """The dtype policy of a model that says which of its layers are quantized.

    Args:
        model: a model, or a layer.

    Returns:
        `keras.dtype_policies.DTypePolicyMap`; the model's own policy if no layer is
        quantized or the policy is a map already.
    """
    policy = model.dtype_policy
    quantized = {
        layer.path: layer.dtype_policy
        for layer in all_layers(model, include_self=False)
        if layer.quantization_mode is not None
    }
    is_map = isinstance(policy, keras.dtype_policies.DTypePolicyMap)
    if is_map or not quantized:
        return policy
    # With its default, which KerasHub leaves to the session that loads the model.
    return keras.dtype_policies.DTypePolicyMap(policy.name, quantized)


def is_quantized(model):
    """Returns whether any layer of a model has int8 weights, a bool."""
    return any(
        getattr(layer, "quantization_mode", None) is not None
        for layer in all_layers(model, include_self=False)
    )


def _check(mode, config):
    if mode != "int8":
        raise ValueError(
            f"VATT models can be quantized to 'int8'. Received: mode={mode!r}"
        )
    if config is None:
        return
    serialize = keras.saving.serialize_keras_object
    if serialize(config) != serialize(keras.quantizers.Int8QuantizationConfig()):
        raise ValueError(
            "VATT models can only be quantized with Keras' default config, as other "
            f"quantizers are not saved with them. Received: config={config}"
        )


def _passes(layer, filters):
    if filters is None:
        return True
    if callable(filters):
        return filters(layer)
    patterns = [filters] if isinstance(filters, str) else filters
    return any(re.search(pattern, layer.name) for pattern in patterns)
