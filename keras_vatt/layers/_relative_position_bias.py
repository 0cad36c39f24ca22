"""The relative position bias of T5."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="keras_vatt")
class RelativePositionBias(keras.layers.Layer):
    """A learned bias per head and bucket of relative distance.

    As in T5 (bidirectional), half of the buckets are for keys before the query, and
    half for keys after it. In each half, the first half of the buckets has one
    distance each. The sizes of the others grow logarithmically up to `max_distance`.

    Args:
        num_heads: int. Number of attention heads.
        num_buckets: int. Number of buckets. Defaults to `32`.
        max_distance: int. All distances from this one, in tokens, use the last
            bucket. Defaults to `64`, VATT's value (T5 itself uses 128).
        **kwargs: `name`, `dtype` and the other arguments of
            `keras.layers.Layer`.

    Raises:
        ValueError: if there are fewer than four buckets, or `max_distance` is not
            above `num_buckets // 4`, the distances with a bucket of their own.

    Call arguments:
        x: tensor of shape `(batch, length, hidden_dim)`; only its length is
            used.

    Returns:
        Tensor of shape `(1, num_heads, length, length)`.

    Example:
    ```python
    bias = keras_vatt.layers.RelativePositionBias(num_heads=4)
    bias(np.ones((2, 10, 64), "float32")).shape  # (1, 4, 10, 10)
    ```
    """

    def __init__(
        self,
        num_heads: int,
        num_buckets: int = 32,
        max_distance: int = 64,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if num_buckets < 4 or max_distance <= num_buckets // 4:
            raise ValueError(
                "`num_buckets` must be at least 4, and `max_distance` must be above "
                f"`num_buckets // 4`. Received: num_buckets={num_buckets}, "
                f"max_distance={max_distance}"
            )
        self.num_heads = num_heads
        self.num_buckets = num_buckets
        self.max_distance = max_distance

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.embeddings = self.add_weight(
            shape=(self.num_buckets, self.num_heads),
            initializer="uniform",
            name="embeddings",
        )

    def call(self, x: Any) -> Any:
        buckets = relative_position_buckets(
            x.shape[1], self.num_buckets, self.max_distance
        )
        # A product with a constant one-hot matrix has a dense gradient on every
        # backend. A lookup would have a sparse gradient on TensorFlow.
        one_hot = np.eye(self.num_buckets, dtype="float32")[buckets]
        bias = ops.einsum("tsb,bh->hts", ops.cast(one_hot, x.dtype), self.embeddings)
        return bias[None]

    def compute_output_shape(
        self, input_shape: tuple[int | None, ...]
    ) -> tuple[int | None, ...]:
        length = input_shape[1]
        return (1, self.num_heads, length, length)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.update(
            {
                "num_heads": self.num_heads,
                "num_buckets": self.num_buckets,
                "max_distance": self.max_distance,
            }
        )
        return config


def relative_position_buckets(length: int, num_buckets: int, max_distance: int):
    """Computes the T5 bucket of each pair of query and key, in both directions.

    Args:
        length: int. Number of positions.
        num_buckets: int. Number of buckets.
        max_distance: int. All pairs at this distance or more use the last bucket.

    Returns:
        int32 NumPy array of shape `(length, length)`.
    """
    positions = np.arange(length)
    relative = positions[None, :] - positions[:, None]
    buckets_per_side = num_buckets // 2
    num_exact = buckets_per_side // 2
    distance = np.abs(relative)
    # float32 gives the same rounding at the edges of the buckets as the original code.
    growth = np.log(
        np.maximum(distance, 1).astype("float32") / num_exact, dtype="float32"
    ) / np.float32(math.log(max_distance / num_exact))
    logarithmic = num_exact + (growth * (buckets_per_side - num_exact)).astype("int32")
    logarithmic = np.minimum(logarithmic, buckets_per_side - 1)
    bucket = np.where(distance < num_exact, distance, logarithmic)
    return (bucket + (relative > 0) * buckets_per_side).astype("int32")
