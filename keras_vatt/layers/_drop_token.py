"""DropToken: training on a random subset of the patches."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_vatt")
class DropToken(keras.layers.Layer):
    """Keeps a random part of the tokens in training, all of them otherwise.

    All samples of a batch keep the same random positions. Their number is
    `int(keep_rate * num_positions)`. It depends on the size of the position tables,
    not on the input: an input with fewer tokens keeps all of them. VATT paper,
    section 3.1.2.

    Args:
        num_positions: int. Number of positions of the tables, which is the number
            of tokens of a full-size input.
        keep_rate: float in (0, 1]. Fraction of the positions to keep; `1` disables
            the layer. Defaults to `0.5`.
        **kwargs: `name`, `dtype` and the other arguments of
            `keras.layers.Layer`.

    Call arguments:
        tokens: float tensor of shape `(batch, length, hidden_dim)`.
        training: bool. Whether tokens are dropped.

    Returns:
        Tensor of shape `(batch, kept, hidden_dim)`.

    Raises:
        ValueError: if `keep_rate` keeps no token, or is above 1.

    Example:
    ```python
    drop_token = keras_vatt.layers.DropToken(num_positions=10)
    drop_token(np.ones((2, 10, 64), "float32"), training=True).shape  # (2, 5, 64)
    ```
    """

    def __init__(
        self, num_positions: int, keep_rate: float = 0.5, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.num_positions = num_positions
        self.keep_rate = keep_rate
        self.num_kept = int(keep_rate * num_positions)
        if not 1 <= self.num_kept <= num_positions:
            raise ValueError(
                "`keep_rate` must keep at least one and at most all of the "
                f"{num_positions} positions. Received: keep_rate={keep_rate}"
            )
        if self.num_kept < num_positions:
            self.seed_generator = keras.random.SeedGenerator()
        self.built = True

    def call(self, tokens: Any, training: bool | None = None) -> Any:
        length = tokens.shape[1]
        drops_none = self.num_kept == self.num_positions or length <= self.num_kept
        if not training or drops_none:
            return tokens
        # Sorting random keys is a random permutation that every backend can compile.
        keys = keras.random.uniform((length,), seed=self.seed_generator)
        kept = ops.argsort(keys)[: self.num_kept]
        return ops.take(tokens, kept, axis=1)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.update(
            {"num_positions": self.num_positions, "keep_rate": self.keep_rate}
        )
        return config
