"""The two-layer MLP of a transformer block."""

from __future__ import annotations

from typing import Any

import keras

from keras_vatt.layers._dropout import SeededDropout


@keras.saving.register_keras_serializable(package="keras_vatt")
class FeedForward(keras.layers.Layer):
    """Dense, GELU (the exact form), dropout, Dense.

    Args:
        intermediate_dim: int. Width of the hidden layer.
        use_bias: bool. Whether the two Dense layers have a bias. Defaults to
            `True`.
        dropout: float. Dropout rate after the activation. Defaults to `0.0`.
        **kwargs: `name`, `dtype` and the other arguments of
            `keras.layers.Layer`.

    Call arguments:
        x: float tensor of shape `(batch, length, hidden_dim)`.
        training: bool. Whether dropout is active.

    Returns:
        Tensor of the shape of `x`.

    Example:
    ```python
    feed_forward = keras_vatt.layers.FeedForward(intermediate_dim=256)
    feed_forward(np.ones((2, 10, 64), "float32")).shape  # (2, 10, 64)
    ```
    """

    def __init__(
        self,
        intermediate_dim: int,
        use_bias: bool = True,
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.intermediate_dim = intermediate_dim
        self.use_bias = use_bias
        self.dropout = dropout

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.inner_dense = keras.layers.Dense(
            self.intermediate_dim,
            activation="gelu",
            use_bias=self.use_bias,
            dtype=self.dtype_policy,
            name="inner",
        )
        self.inner_dense.build(input_shape)
        self.inner_dropout = SeededDropout(
            self.dropout, dtype=self.dtype_policy, name="dropout"
        )
        self.outer_dense = keras.layers.Dense(
            input_shape[-1],
            use_bias=self.use_bias,
            dtype=self.dtype_policy,
            name="outer",
        )
        self.outer_dense.build((*input_shape[:-1], self.intermediate_dim))

    def call(self, x: Any, training: bool | None = None) -> Any:
        x = self.inner_dense(x)
        x = self.inner_dropout(x, training=training)
        return self.outer_dense(x)

    def compute_output_shape(
        self, input_shape: tuple[int | None, ...]
    ) -> tuple[int | None, ...]:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.update(
            {
                "intermediate_dim": self.intermediate_dim,
                "use_bias": self.use_bias,
                "dropout": self.dropout,
            }
        )
        return config
