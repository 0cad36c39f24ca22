"""Multi-head self-attention with separate query, key, value and output kernels."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_vatt.layers._dropout import SeededDropout
from keras_vatt.layers._inner_call import ON_TORCH, call_inner

if ON_TORCH:
    from keras_vatt.layers import _torch_operations

if keras.config.backend() == "jax":
    from keras_vatt.layers._jax_attention import dot_product_attention
else:
    dot_product_attention = ops.dot_product_attention

# Added to the logits of masked positions. As in the original code, it absorbs the other
# logits in float32: a row without any valid position attends to all of them alike.
_MASKED_LOGIT = -1e9
# Far below any logit, but finite in float16, so that no row becomes NaN.
_MASKED_LOGIT_FLOAT16 = -3e4


@keras.saving.register_keras_serializable(package="keras_vatt")
class SelfAttention(keras.layers.Layer):
    """Multi-head self-attention.

    Uses `keras.ops.dot_product_attention`, and thus flash attention where the
    backend and the device support it; in float32 on a CPU, JAX computes the heads one
    after another, which is faster. The attention weights are computed explicitly
    only if they are returned or have dropout in training. The softmax is computed
    in float32, independent of the dtype policy.

    Follows `TransformerEncoder` and `T5` of the original VATT code: the kernels
    are `(hidden_dim, num_heads * head_dim)` matrices, as in its checkpoints.

    Args:
        num_heads: int. Number of heads.
        head_dim: int. Width of each head.
        use_bias: bool. Whether the four projections have a bias. Defaults to
            `True`.
        scale: float. Factor of the logits. Defaults to `None`,
            `head_dim ** -0.5`; T5 uses `1.0`.
        dropout: float. Dropout rate of the attention weights in training.
            Defaults to `0.0`.
        **kwargs: `name`, `dtype` and the other arguments of
            `keras.layers.Layer`.

    Call arguments:
        x: float tensor of shape `(batch, length, hidden_dim)`.
        attention_mask: bool tensor of shape `(batch, length)`, `True` where a
            position may be attended to. Defaults to `None`, all positions.
        attention_bias: float tensor, broadcastable to
            `(batch, num_heads, length, length)`, added to the logits. Defaults
            to `None`.
        return_attention_weights: bool. Whether to return
            `(output, weights)`. Defaults to `False`.
        training: bool. Whether dropout is active.
        num_queries: int. Number of positions whose output is computed, from the
            first one. They attend to all positions. Defaults to `None`, all.

    Returns:
        Tensor of shape `(batch, length, hidden_dim)`; with
        `return_attention_weights=True` also the
        `(batch, num_heads, length, length)` weights. With `num_queries` both
        have that many rows instead of `length`.

    Example:
    ```python
    attention = keras_vatt.layers.SelfAttention(num_heads=4, head_dim=16)
    attention(np.ones((2, 10, 64), "float32")).shape  # (2, 10, 64)
    ```
    """

    def __init__(
        self,
        num_heads: int,
        head_dim: int,
        use_bias: bool = True,
        scale: float | None = None,
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.head_dim = head_dim
        self.use_bias = use_bias
        self.scale = head_dim**-0.5 if scale is None else scale
        self.dropout = dropout

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        hidden_dim = input_shape[-1]
        inner_dim = self.num_heads * self.head_dim
        self.query = self._projection(inner_dim, "query")
        self.key = self._projection(inner_dim, "key")
        self.value = self._projection(inner_dim, "value")
        self.output_dense = self._projection(hidden_dim, "output")
        for projection in (self.query, self.key, self.value):
            projection.build(input_shape)
        self.output_dense.build((*input_shape[:-1], inner_dim))
        self.weight_dropout = SeededDropout(
            self.dropout, dtype=self.dtype_policy, name="weight_dropout"
        )

    def call(
        self,
        x: Any,
        attention_mask: Any = None,
        attention_bias: Any = None,
        return_attention_weights: bool = False,
        training: bool | None = None,
        num_queries: int | None = None,
    ) -> Any:
        asking = x
        if num_queries is not None:
            asking = x[:, :num_queries]
            if attention_bias is not None:
                attention_bias = attention_bias[..., :num_queries, :]
        query = call_inner(self.query, asking)
        key = call_inner(self.key, x)
        value = call_inner(self.value, x)
        explicit = return_attention_weights or (training and self.dropout > 0)
        if ON_TORCH and not explicit and attention_bias is None:
            context = _torch_operations.attention(
                query, key, value, self.num_heads, self.scale, attention_mask
            )
            return call_inner(self.output_dense, context)
        query, key, value = map(self._split_heads, (query, key, value))
        if explicit:
            weights = self._attention_weights(
                query, key, attention_mask, attention_bias
            )
            weights = self.weight_dropout(weights, training=training)
            context = ops.einsum("bhts,bshd->bthd", weights, value)
        else:
            weights = None
            # Flash attention doesn't speed up a few queries, and JAX's can't
            # differentiate an odd number of them with a mask or a bias.
            context = self._fused_attention(
                query,
                key,
                value,
                attention_mask,
                attention_bias,
                flash_attention=None if num_queries is None else False,
            )
        outputs = call_inner(self.output_dense, self._join_heads(context))
        return (outputs, weights) if return_attention_weights else outputs

    def _fused_attention(
        self, query, key, value, attention_mask, attention_bias, flash_attention
    ):
        if attention_mask is not None and attention_bias is not None:
            attention_bias = attention_bias + _logit_mask(attention_mask, query.dtype)
            attention_mask = None
        if attention_mask is not None:
            attention_mask = attention_mask[:, None, None, :]
        return dot_product_attention(
            query,
            key,
            value,
            bias=attention_bias,
            mask=attention_mask,
            scale=self.scale,
            flash_attention=flash_attention,
        )

    def _attention_weights(self, query, key, attention_mask, attention_bias):
        logits = ops.einsum("bthd,bshd->bhts", query, key) * self.scale
        logits = ops.cast(logits, "float32")
        if attention_bias is not None:
            logits = logits + ops.cast(attention_bias, "float32")
        if attention_mask is not None:
            logits = logits + _logit_mask(attention_mask, "float32")
        return ops.cast(ops.softmax(logits, axis=-1), query.dtype)

    def _projection(self, units, name):
        return keras.layers.Dense(
            units, use_bias=self.use_bias, dtype=self.dtype_policy, name=name
        )

    def _split_heads(self, x):
        return ops.reshape(x, (-1, x.shape[1], self.num_heads, self.head_dim))

    def _join_heads(self, x):
        return ops.reshape(x, (-1, x.shape[1], self.num_heads * self.head_dim))

    def compute_output_shape(
        self, input_shape: tuple[int | None, ...]
    ) -> tuple[int | None, ...]:
        return input_shape

    def compute_output_spec(
        self,
        x: Any,
        attention_mask: Any = None,
        attention_bias: Any = None,
        return_attention_weights: bool = False,
        training: bool | None = None,
        num_queries: int | None = None,
    ) -> Any:
        shape = first_positions_shape(x.shape, num_queries)
        outputs = keras.KerasTensor(shape, dtype=self.compute_dtype)
        if not return_attention_weights:
            return outputs
        weights_shape = (shape[0], self.num_heads, shape[1], x.shape[1])
        return outputs, keras.KerasTensor(weights_shape, dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.update(
            {
                "num_heads": self.num_heads,
                "head_dim": self.head_dim,
                "use_bias": self.use_bias,
                "scale": self.scale,
                "dropout": self.dropout,
            }
        )
        return config


def first_positions_shape(shape, num_positions: int):
    """Returns the shape of the first positions of a sequence.

    Args:
        shape: tuple, `(batch, length, ...)`; `None` for unknown sizes.
        num_positions: int, number of positions, or `None` for all.

    Returns:
        Tuple of the same length as `shape`.
    """
    batch, length, *others = shape
    if num_positions is not None:
        length = num_positions if length is None else min(num_positions, length)
    return (batch, length, *others)


def _logit_mask(attention_mask, dtype):
    is_float16 = keras.backend.standardize_dtype(dtype) == "float16"
    allowed = ops.cast(attention_mask[:, None, None, :], dtype)
    return (1 - allowed) * (_MASKED_LOGIT_FLOAT16 if is_float16 else _MASKED_LOGIT)
