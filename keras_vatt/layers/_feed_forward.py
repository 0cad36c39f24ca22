"""The two-layer MLP of a transformer block."""

from __future__ import annotations

from typing import Any

import keras

from keras_vatt._choices import check_choice
from keras_vatt._encoder_options import MLP_ACTIVATIONS
from keras_vatt.layers._dropout import SeededDropout
from keras_vatt.layers._inner_call import call_inner


@keras.saving.register_keras_serializable(package="keras_vatt")
class FeedForward(keras.layers.Layer):
    """Dense, activation, dropout, Dense.

    With `activation="geglu"` there is a second Dense layer next to the first one, whose
    output is multiplied by the GELU of the first (Shazeer, "GLU Variants Improve
    Transformer", 2020).

    Args:
        intermediate_dim: int. Width of the hidden layer.
        activation: string. `"gelu"` (the exact form), `"relu"`, `"swish"` or
            `"geglu"`. Defaults to `"gelu"`.
        use_bias: bool. Whether the two Dense layers have a bias. Defaults to
            `True`.
        dropout: float. Dropout rate after the activation. Defaults to `0.0`.
        **kwargs: `name`, `dtype` and the other arguments of
            `keras.layers.Layer`.

    Raises:
        ValueError: if `activation` has another value.

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
        activation: str = "gelu",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_choice("activation", activation, MLP_ACTIVATIONS)
        self.activation = activation
        self.intermediate_dim = intermediate_dim
        self.use_bias = use_bias
        self.dropout = dropout

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        is_gated = self.activation == "geglu"
        self.inner_dense = self._dense(
            self.intermediate_dim, "inner", "gelu" if is_gated else self.activation
        )
        self.inner_dense.build(input_shape)
        self.gate_dense = None
        if is_gated:
            self.gate_dense = self._dense(self.intermediate_dim, "gate")
            self.gate_dense.build(input_shape)
        self.inner_dropout = SeededDropout(
            self.dropout, dtype=self.dtype_policy, name="dropout"
        )
        self.outer_dense = self._dense(input_shape[-1], "outer")
        self.outer_dense.build((*input_shape[:-1], self.intermediate_dim))

    def call(self, x: Any, training: bool | None = None) -> Any:
        hidden = call_inner(self.inner_dense, x)
        if self.gate_dense is not None:
            hidden = hidden * call_inner(self.gate_dense, x)
        hidden = call_inner(self.inner_dropout, hidden, training=training)
        return call_inner(self.outer_dense, hidden)

    def _dense(self, units, name, activation=None):
        return keras.layers.Dense(
            units,
            activation=activation,
            use_bias=self.use_bias,
            dtype=self.dtype_policy,
            name=name,
        )

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
                "activation": self.activation,
            }
        )
        return config
