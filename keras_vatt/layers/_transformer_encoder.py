"""Transformer encoder: the blocks of every VATT tower."""

from __future__ import annotations

import functools
from typing import Any

import keras

from keras_vatt.layers._attention import SelfAttention, first_positions_shape
from keras_vatt.layers._dropout import SeededDropout
from keras_vatt.layers._feed_forward import FeedForward
from keras_vatt.layers._inner_call import call_inner
from keras_vatt.layers._relative_position_bias import RelativePositionBias
from keras_vatt.layers._rematerialization import rematerialized


@keras.saving.register_keras_serializable(package="keras_vatt")
class TransformerBlock(keras.layers.Layer):
    """Pre-norm block: `x += attention(norm(x))`, then `x += mlp(norm(x))`.

    With `normalize_first=False` it is a post-norm block:
    `x = norm(x + attention(x))`, then `x = norm(x + mlp(x))`.

    The T5 flavor of the modality-specific text tower (`t5=True`) has no
    biases, an RMS norm before the attention, and logits that are not scaled. As in
    the original VATT code, its norm before the MLP is still a LayerNorm.

    Args:
        num_heads: int. Number of attention heads.
        head_dim: int. Width of each head.
        intermediate_dim: int. Width of the MLP's hidden layer.
        dropout: float. Dropout rate of attention weights, activations and
            both residual branches. Defaults to `0.0`.
        layer_norm_epsilon: float. Epsilon of both norms. Defaults to `1e-6`.
        t5: bool. Whether to build the T5 flavor. Defaults to `False`.
        use_bias: bool. Whether attention and MLP have biases. T5 never has them.
            Defaults to `True`.
        normalize_first: bool. Whether the norms precede attention and MLP (pre-norm)
            or follow the residual additions (post-norm). T5 is always pre-norm.
            Defaults to `True`.
        activation: string. Activation of the MLP; see `FeedForward`. Defaults to
            `"gelu"`.
        **kwargs: `name`, `dtype` and the other arguments of
            `keras.layers.Layer`.

    Call arguments:
        x: float tensor of shape `(batch, length, hidden_dim)`.
        attention_mask: bool tensor of shape `(batch, length)`. Defaults to
            `None`.
        attention_bias: float tensor, broadcastable to
            `(batch, num_heads, length, length)`. Defaults to `None`.
        training: bool. Whether dropout is active.
        num_queries: int. Number of positions whose output is computed, from the
            first one. They attend to all positions. Defaults to `None`, all.

    Returns:
        Tensor of shape `(batch, length, hidden_dim)`, or
        `(batch, num_queries, hidden_dim)` with `num_queries`.

    Example:
    ```python
    block = keras_vatt.layers.TransformerBlock(4, 16, 256)
    block(np.ones((2, 10, 64), "float32")).shape  # (2, 10, 64)
    ```
    """

    def __init__(
        self,
        num_heads: int,
        head_dim: int,
        intermediate_dim: int,
        dropout: float = 0.0,
        layer_norm_epsilon: float = 1e-6,
        t5: bool = False,
        use_bias: bool = True,
        normalize_first: bool = True,
        activation: str = "gelu",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.head_dim = head_dim
        self.intermediate_dim = intermediate_dim
        self.dropout = dropout
        self.layer_norm_epsilon = layer_norm_epsilon
        self.t5 = t5
        _set_options(self, use_bias, normalize_first, activation)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        use_bias = self.use_bias and not self.t5
        self.attention_norm = _norm(self, "attention_norm", rms=self.t5)
        self.attention = SelfAttention(
            self.num_heads,
            self.head_dim,
            use_bias=use_bias,
            scale=1.0 if self.t5 else None,
            dropout=self.dropout,
            dtype=self.dtype_policy,
            name="attention",
        )
        self.feed_forward_norm = _norm(self, "feed_forward_norm", rms=False)
        self.feed_forward = FeedForward(
            self.intermediate_dim,
            use_bias=use_bias,
            dropout=self.dropout,
            activation=self.activation,
            dtype=self.dtype_policy,
            name="feed_forward",
        )
        self.attention_dropout = _dropout(self, "attention_dropout")
        self.feed_forward_dropout = _dropout(self, "feed_forward_dropout")
        for layer in (
            self.attention_norm,
            self.attention,
            self.feed_forward_norm,
            self.feed_forward,
        ):
            layer.build(input_shape)

    def call(
        self,
        x: Any,
        attention_mask: Any = None,
        attention_bias: Any = None,
        training: bool | None = None,
        num_queries: int | None = None,
    ) -> Any:
        attended = call_inner(
            self.attention,
            call_inner(self.attention_norm, x) if self.normalize_first else x,
            attention_mask=attention_mask,
            attention_bias=attention_bias,
            training=training,
            num_queries=num_queries,
        )
        if num_queries is not None:
            x = x[:, :num_queries]
        x = x + call_inner(self.attention_dropout, attended, training=training)
        if not self.normalize_first:
            x = call_inner(self.attention_norm, x)
        updated = call_inner(
            self.feed_forward,
            call_inner(self.feed_forward_norm, x) if self.normalize_first else x,
            training=training,
        )
        x = x + call_inner(self.feed_forward_dropout, updated, training=training)
        return x if self.normalize_first else call_inner(self.feed_forward_norm, x)

    def compute_output_shape(
        self, input_shape: tuple[int | None, ...]
    ) -> tuple[int | None, ...]:
        return input_shape

    def compute_output_spec(
        self,
        x: Any,
        attention_mask: Any = None,
        attention_bias: Any = None,
        training: bool | None = None,
        num_queries: int | None = None,
    ) -> Any:
        shape = first_positions_shape(x.shape, num_queries)
        return keras.KerasTensor(shape, dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.update(_encoder_config(self))
        return config


@keras.saving.register_keras_serializable(package="keras_vatt")
class TransformerEncoder(keras.layers.Layer):
    """A stack of `TransformerBlock`s, a final norm and dropout.

    A post-norm encoder (`normalize_first=False`) has neither final norm nor final
    dropout: the last block ends with a norm.

    Args:
        num_layers: int. Number of blocks.
        num_heads: int. Number of attention heads.
        head_dim: int. Width of each head.
        intermediate_dim: int. Width of the MLPs' hidden layer.
        dropout: float. Dropout rate. Defaults to `0.0`.
        layer_norm_epsilon: float. Epsilon of all norms. Defaults to `1e-6`.
        t5: bool. Whether to build the T5 flavor (see `TransformerBlock`) with an
            RMS norm as final norm, and one relative position bias for the logits of
            all blocks. Defaults to `False`.
        rematerialize: bool. Whether the backward pass recomputes the activations of
            a block instead of storing them. This takes less memory and more time,
            with the same results. Defaults to `False`.
        use_bias: bool. Whether attention and MLP have biases. T5 never has them.
            Defaults to `True`.
        normalize_first: bool. Whether the norms precede attention and MLP (pre-norm)
            or follow the residual additions (post-norm). T5 is always pre-norm.
            Defaults to `True`.
        activation: string. Activation of the MLP; see `FeedForward`. Defaults to
            `"gelu"`.
        num_relative_buckets: int. Buckets of T5's relative position bias. Defaults to
            `32`.
        max_relative_distance: int. Largest distance, in tokens, that the bias tells
            apart. Defaults to `64`.
        **kwargs: `name`, `dtype` and the other arguments of
            `keras.layers.Layer`.

    Call arguments:
        x: float tensor of shape `(batch, length, hidden_dim)`.
        attention_mask: bool tensor of shape `(batch, length)`. Defaults to
            `None`.
        training: bool. Whether dropout is active.
        first_token_only: bool. Whether to return only the output of the first
            token. The last block then computes only keys and values for the other
            tokens. Defaults to `False`.

    Returns:
        Tensor of shape `(batch, length, hidden_dim)`, or `(batch, 1, hidden_dim)`
        with `first_token_only=True`.

    Example:
    ```python
    encoder = keras_vatt.layers.TransformerEncoder(2, 4, 16, 256)
    encoder(np.ones((2, 10, 64), "float32")).shape  # (2, 10, 64)
    ```
    """

    def __init__(
        self,
        num_layers: int,
        num_heads: int,
        head_dim: int,
        intermediate_dim: int,
        dropout: float = 0.0,
        layer_norm_epsilon: float = 1e-6,
        t5: bool = False,
        rematerialize: bool = False,
        use_bias: bool = True,
        normalize_first: bool = True,
        activation: str = "gelu",
        num_relative_buckets: int = 32,
        max_relative_distance: int = 64,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_layers = num_layers
        self.num_heads = num_heads
        self.head_dim = head_dim
        self.intermediate_dim = intermediate_dim
        self.dropout = dropout
        self.layer_norm_epsilon = layer_norm_epsilon
        self.t5 = t5
        self.rematerialize = rematerialize
        _set_options(self, use_bias, normalize_first, activation)
        self.num_relative_buckets = num_relative_buckets
        self.max_relative_distance = max_relative_distance

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.blocks = [
            TransformerBlock(
                **_encoder_config(self), dtype=self.dtype_policy, name=f"block_{i}"
            )
            for i in range(self.num_layers)
        ]
        self.relative_position_bias = None
        if self.t5:
            self.relative_position_bias = RelativePositionBias(
                self.num_heads,
                self.num_relative_buckets,
                self.max_relative_distance,
                dtype=self.dtype_policy,
                name="relative_position_bias",
            )
            self.relative_position_bias.build(input_shape)
        self.final_norm = None
        if self.normalize_first:
            self.final_norm = _norm(self, "final_norm", rms=self.t5)
            self.final_dropout = _dropout(self, "final_dropout")
        for block in self.blocks:
            block.build(input_shape)
        if self.final_norm is not None:
            self.final_norm.build(input_shape)

    def call(
        self,
        x: Any,
        attention_mask: Any = None,
        training: bool | None = None,
        first_token_only: bool = False,
    ) -> Any:
        attention_bias = None
        if self.relative_position_bias is not None:
            attention_bias = self.relative_position_bias(x)
        for block in self.blocks:
            is_cut = first_token_only and block is self.blocks[-1]
            run = functools.partial(call_inner, block)
            if self.rematerialize and training:
                run = rematerialized(block)
            x = run(
                x,
                attention_mask=attention_mask,
                attention_bias=attention_bias,
                training=training,
                num_queries=1 if is_cut else None,
            )
        if self.final_norm is None:
            return x
        x = call_inner(self.final_norm, x)
        return call_inner(self.final_dropout, x, training=training)

    def compute_output_shape(
        self, input_shape: tuple[int | None, ...]
    ) -> tuple[int | None, ...]:
        return input_shape

    def compute_output_spec(
        self,
        x: Any,
        attention_mask: Any = None,
        training: bool | None = None,
        first_token_only: bool = False,
    ) -> Any:
        shape = first_positions_shape(x.shape, 1 if first_token_only else None)
        return keras.KerasTensor(shape, dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.update(
            {
                "num_layers": self.num_layers,
                **_encoder_config(self),
                "rematerialize": self.rematerialize,
                "num_relative_buckets": self.num_relative_buckets,
                "max_relative_distance": self.max_relative_distance,
            }
        )
        return config


def _encoder_config(layer):
    return {
        "num_heads": layer.num_heads,
        "head_dim": layer.head_dim,
        "intermediate_dim": layer.intermediate_dim,
        "dropout": layer.dropout,
        "layer_norm_epsilon": layer.layer_norm_epsilon,
        "t5": layer.t5,
        "use_bias": layer.use_bias,
        "normalize_first": layer.normalize_first,
        "activation": layer.activation,
    }


def _set_options(layer, use_bias, normalize_first, activation):
    if layer.t5 and not normalize_first:
        raise ValueError("`normalize_first` must be `True` with `t5=True`.")
    layer.use_bias = use_bias
    layer.normalize_first = normalize_first
    layer.activation = activation


def _norm(layer, name, rms):
    norm = keras.layers.RMSNormalization if rms else keras.layers.LayerNormalization
    return norm(epsilon=layer.layer_norm_epsilon, dtype=layer.dtype_policy, name=name)


def _dropout(layer, name):
    return SeededDropout(layer.dropout, dtype=layer.dtype_policy, name=name)
