"""Int8 quantization of backbones."""

import contextlib
import gc
import re
from collections.abc import Callable, Sequence

import keras


class QuantizesBackbone:
    """Mixin of the backbones and tasks that can be quantized."""

    def quantize(
        self,
        mode: str = "int8",
        config: keras.quantizers.QuantizationConfig | None = None,
        filters: str
        | Sequence[str]
        | Callable[[keras.layers.Layer], bool]
        | None = None,
    ) -> None:
        """Quantizes the large matrices of the backbone to int8, for inference.

        Dense layers (attention, MLP, projections) and word vectors get int8 weights
        with a float scale for each output or word. Inputs of Dense layers are rounded
        to int8 at run time. Patch embeddings, positions, norms and the heads of tasks
        stay in float. The outputs change a little: evaluate the model again. Quantized
        weights can't be trained, except by LoRA (`VATTBackbone.enable_lora`).

        A quantized model is saved and loaded like any other. Load the weights before
        you quantize. Functions are compiled again afterwards.

        Args:
            mode: string. Only `"int8"`, the default.
            config: `keras.quantizers.Int8QuantizationConfig` with its defaults: presets
                don't store other quantizers. Defaults to `None`.
            filters: pattern or list of patterns of layer names, or a function of a
                layer; see `keras.Model.quantize`. Selects the layers to quantize.
                Defaults to `None`, all layers.

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
            for layer in backbone._flatten_layers()
            if isinstance(layer, keras.layers.Dense | keras.layers.Embedding)
            and layer.quantization_mode is None
            and _passes(layer, filters)
        }
        with _one_garbage_collection():
            super().quantize(mode, filters=lambda layer: id(layer) in chosen)


@contextlib.contextmanager
def _one_garbage_collection():
    """Delays garbage collection, which Keras runs after each layer, for seconds."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.collect()


def quantized_dtype(model):
    """Returns the dtype policy of a model, with the policies of quantized layers.

    Args:
        model: a model, or a layer.

    Returns:
        `keras.dtype_policies.DTypePolicyMap`; the model's own policy if no layer is
        quantized or the policy is a map already.
    """
    policy = model.dtype_policy
    quantized = {
        layer.path: layer.dtype_policy
        for layer in model._flatten_layers(include_self=False)
        if layer.quantization_mode is not None
    }
    is_map = isinstance(policy, keras.dtype_policies.DTypePolicyMap)
    if is_map or not quantized:
        return policy
    # With a default policy. Without one, the loading session's policy would apply.
    return keras.dtype_policies.DTypePolicyMap(policy.name, quantized)


def is_quantized(model):
    """Returns whether any layer of a model has int8 weights, a bool."""
    return any(
        getattr(layer, "quantization_mode", None) is not None
        for layer in model._flatten_layers(include_self=False)
    )


def _check(mode, config):
    if mode != "int8":
        raise ValueError(
            f"VATT models can only be quantized to 'int8'. Received: mode={mode!r}"
        )
    if config is None:
        return
    serialize = keras.saving.serialize_keras_object
    if serialize(config) != serialize(keras.quantizers.Int8QuantizationConfig()):
        raise ValueError(
            "VATT models can only be quantized with the default config of Keras, "
            f"because presets don't store other quantizers. Received: config={config}"
        )


def _passes(layer, filters):
    if filters is None:
        return True
    if callable(filters):
        return filters(layer)
    patterns = [filters] if isinstance(filters, str) else filters
    return any(re.search(pattern, layer.name) for pattern in patterns)
