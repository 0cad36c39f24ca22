"""Dot-product attention on JAX, in a loop over heads where a CPU computes it.

XLA compiles `jax.nn.dot_product_attention` for a CPU to passes over the logits of all
heads, which do not fit into the cache. The logits of one head of one example do. The
backward pass computes the attention weights again, so they are not stored.
"""

import math

import jax
import jax.numpy as jnp
import keras

# For fewer logits per head, the loop costs more than it saves.
_MIN_LOGITS = 64 * 64


def dot_product_attention(
    query, key, value, bias=None, mask=None, scale=1.0, flash_attention=None
):
    """Computes `keras.ops.dot_product_attention`, faster for float32 on a CPU.

    Args:
        query: tensor of shape `(batch, num_queries, num_heads, head_dim)`.
        key: tensor of shape `(batch, length, num_heads, head_dim)`.
        value: tensor of the shape of `key`.
        bias: tensor that is added to the logits. Defaults to `None`.
        mask: bool tensor, `True` where a position may be attended to. Defaults to
            `None`.
        scale: float, factor of the logits.
        flash_attention: bool. Whether to use flash attention. Defaults to `None`, if
            the device supports it.

    Returns:
        Tensor of the shape of `query`.
    """
    is_plain = bias is None and mask is None and not flash_attention
    if is_plain and _prefers_loop(query, key):
        return _attention_by_head(query, key, value, scale)
    return keras.ops.dot_product_attention(
        query,
        key,
        value,
        bias=bias,
        mask=mask,
        scale=scale,
        flash_attention=flash_attention,
    )


def _prefers_loop(query, key):
    sizes = (*query.shape, *key.shape)
    return (
        # An exported program may accept any batch size.
        all(isinstance(size, int) for size in sizes)
        and query.shape[1] * key.shape[1] >= _MIN_LOGITS
        and query.dtype == key.dtype == jnp.float32
        and _platform() == "cpu"
        and not _is_sharded_by_compiler()
    )


def _attention_by_head(query, key, value, scale):
    batch, num_queries, num_heads, head_dim = query.shape

    def split(x):
        return x.transpose(0, 2, 1, 3).reshape(batch * num_heads, -1, head_dim)

    # In a loop, the compiler can't merge the two forward passes anyway.
    attend = jax.checkpoint(_attend, prevent_cse=False)
    outputs = jax.lax.map(attend, (split(query * scale), split(key), split(value)))
    outputs = outputs.reshape(batch, num_heads, num_queries, head_dim)
    return outputs.transpose(0, 2, 1, 3)


def _attend(head):
    query, key, value = head
    logits = query @ key.T
    largest = jax.lax.stop_gradient(logits.max(axis=-1, keepdims=True))
    weights = jnp.exp(logits - largest)
    # The outputs have fewer columns to divide than the weights.
    return (weights @ value) / weights.sum(axis=-1, keepdims=True)


def _platform():
    """Returns the platform that the current program will run on."""
    # A plan compiles for the devices of a distribution that this machine doesn't have.
    distribution = keras.distribution.distribution()
    if distribution is not None:
        return distribution.device_mesh.backend_mesh.devices.flat[0].platform
    device = jax.config.jax_default_device
    if device is None:
        return jax.default_backend()
    return getattr(device, "platform", device)


def _is_sharded_by_compiler():
    """Returns whether the compiler divides tensors over devices.

    It would move them between the devices in each iteration of the loop.
    """
    distribution = keras.distribution.distribution()
    if distribution is None:
        return False
    mesh = jax.sharding.get_abstract_mesh()
    num_manual = math.prod(mesh.shape[axis] for axis in mesh.manual_axes)
    return distribution.device_mesh.devices.size > num_manual
