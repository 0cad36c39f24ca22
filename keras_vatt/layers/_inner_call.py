"""Calls of the inner layers of a layer."""

import keras

from keras_vatt._keras_internals import enters_no_autocast_scope

ON_TORCH = keras.config.backend() == "torch"
if ON_TORCH:
    import torch

    from keras_vatt.layers import _torch_operations

    _OPERATIONS = {
        keras.layers.Dense: _torch_operations.dense,
        keras.layers.LayerNormalization: _torch_operations.layer_norm,
    }


def call_inner(layer, x, **kwargs):
    """Calls a built layer from the `call` of another one.

    PyTorch runs Python code in each step. There, `keras.layers.Layer.__call__` takes
    longer than many layers do: it looks for masks, symbolic inputs and dtypes to cast.
    This function calls the layer directly if it needs none of that. On other backends,
    this code runs only while a program is compiled.

    Args:
        layer: a built `keras.layers.Layer` without masks and regularizers.
        x: float tensor, the positional argument.
        **kwargs: the other arguments of the layer's `call`.

    Returns:
        The outputs of the layer.
    """
    # Without `training`, a layer takes that of the layers around it.
    if (
        not ON_TORCH
        or kwargs.get("training", False) is None
        or not _is_direct(layer, x)
    ):
        return layer(x, **kwargs)
    call = _OPERATIONS.get(type(layer))
    return layer.call(x, **kwargs) if call is None else call(layer, x)


def _is_direct(layer, x):
    return (
        isinstance(x, torch.Tensor)
        and layer.quantization_mode is None
        and keras.backend.standardize_dtype(x.dtype) == layer.compute_dtype
        and enters_no_autocast_scope(layer)
    )
