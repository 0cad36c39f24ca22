"""The learned token whose output is the feature of a clip or a sentence."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_vatt")
class AggregationToken(keras.layers.Layer):
    """Prepends a learned vector to a sequence of tokens.

    Call arguments:
        tokens: float tensor of shape `(batch, length, hidden_dim)`.

    Returns:
        Tensor of shape `(batch, 1 + length, hidden_dim)`.

    Example:
    ```python
    token = keras_vatt.layers.AggregationToken()
    token(np.ones((2, 10, 64), "float32")).shape  # (2, 11, 64)
    ```
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.embedding = self.add_weight(
            shape=(input_shape[-1],), initializer="glorot_normal", name="embedding"
        )

    def call(self, tokens: Any) -> Any:
        # Made from the tokens, not from their shape, which TensorFlow may not
        # know before it runs.
        first = ops.zeros_like(tokens[:, :1]) + ops.cast(self.embedding, tokens.dtype)
        return ops.concatenate([first, tokens], axis=1)

    def compute_output_shape(
        self, input_shape: tuple[int | None, ...]
    ) -> tuple[int | None, ...]:
        batch, length, hidden_dim = input_shape
        return (batch, None if length is None else length + 1, hidden_dim)
