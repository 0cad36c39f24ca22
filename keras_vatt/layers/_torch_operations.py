"""Layers, attention and rematerialization as single operations of PyTorch.

The operations of Keras check and convert their arguments each time, and copy the
queries, keys and values of attention.
"""

import keras
import torch
from torch.nn import functional
from torch.utils.checkpoint import checkpoint


def dense(layer, x):
    """Computes a `keras.layers.Dense`; the bias is part of the matrix product."""
    kernel, bias = _value(layer.kernel), _value(layer.bias)
    outputs = functional.linear(x, kernel.T, bias)
    if layer.activation is None:
        return outputs
    if layer.activation is keras.activations.gelu:
        return functional.gelu(outputs)
    return layer.activation(outputs)


def layer_norm(layer, x):
    """Computes a `keras.layers.LayerNormalization`."""
    over_last_axis = layer.axis in (-1, x.ndim - 1, [-1], [x.ndim - 1])
    # Keras normalizes lower precisions in float32.
    if not over_last_axis or x.dtype != torch.float32 or layer.rms_scaling:
        return layer.call(x)
    gamma, beta = _value(layer.gamma), _value(layer.beta)
    return functional.layer_norm(x, x.shape[-1:], gamma, beta, layer.epsilon)


def attention(query, key, value, num_heads, scale, attention_mask=None):
    """Computes the contexts of all heads without bias and dropout.

    Args:
        query: tensor of shape `(batch, queries, num_heads * head_dim)`.
        key: tensor of shape `(batch, length, num_heads * head_dim)`.
        value: tensor of the shape of `key`.
        num_heads: int.
        scale: float, factor of the logits.
        attention_mask: bool tensor of shape `(batch, length)`, `True` where a position
            may be attended to. Defaults to `None`, all positions.

    Returns:
        Tensor of the shape of `query`.
    """
    if attention_mask is not None:
        # Finite, so that a row without any valid position does not become NaN.
        masked_logit = torch.finfo(query.dtype).min / 2
        attention_mask = torch.where(attention_mask.bool(), 0.0, masked_logit)
        attention_mask = attention_mask[:, None, None, :].to(query.dtype)
    heads = (
        x.unflatten(-1, (num_heads, -1)).transpose(1, 2) for x in (query, key, value)
    )
    context = functional.scaled_dot_product_attention(
        *heads, attn_mask=attention_mask, scale=scale
    )
    return context.transpose(1, 2).flatten(2)


def remat(function):
    """Returns a function that is computed again in the backward pass.

    `keras.remat` does not pass `early_stop=False`. With early stops, PyTorch leaves the
    second run by an exception. Keras adds the arguments of each layer on the way to its
    message, and so keeps them alive until Python's next garbage collection: they took
    most of the memory that rematerialization saves.
    """

    def call(*args):
        return checkpoint(function, *args, use_reentrant=False, early_stop=False)

    return call


def _value(weight):
    return weight.value if isinstance(weight, keras.Variable) else weight
