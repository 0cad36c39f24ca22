"""Learned positions along one axis (time) or several (time, row, column)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from scipy.interpolate import CubicSpline

from keras_vatt.layers._dropout import SeededDropout
from keras_vatt.layers._inner_call import call_inner


@keras.saving.register_keras_serializable(package="keras_vatt")
class AxialPositionEmbedding(keras.layers.Layer):
    """Adds learned positions, one table per axis, to a grid of tokens.

    The position vectors of all axes are summed and normalized, and added to the
    tokens, followed by dropout. If the length of an axis differs from its table, the
    table is resampled with a natural cubic spline, which is differentiable; see
    `resampling_matrix`.

    Follows `SpatioTemporalEmbeddings` and `TemporalEmbeddings` of the original
    VATT code.

    Args:
        axis_sizes: tuple of ints. Length of each axis' table, in tokens.
        layer_norm_epsilon: float. Epsilon of the norm. Defaults to `1e-6`.
        dropout: float. Dropout rate after the addition. Defaults to `0.0`.
        **kwargs: `name`, `dtype` and the other arguments of
            `keras.layers.Layer`.

    Call arguments:
        tokens: float tensor of shape `(batch, *grid, hidden_dim)`, with as many
            grid axes as there are tables and a static grid.
        training: bool. Whether dropout is active.

    Returns:
        Tensor of shape `(batch, prod(grid), hidden_dim)`, row-major.

    Example:
    ```python
    positions = keras_vatt.layers.AxialPositionEmbedding((8, 14, 14))
    positions(np.ones((2, 8, 14, 14, 64), "float32")).shape  # (2, 1568, 64)
    ```
    """

    def __init__(
        self,
        axis_sizes: Sequence[int],
        layer_norm_epsilon: float = 1e-6,
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.axis_sizes = tuple(axis_sizes)
        self.layer_norm_epsilon = layer_norm_epsilon
        self.dropout = dropout

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        hidden_dim = input_shape[-1]
        initializer = keras.initializers.TruncatedNormal(stddev=hidden_dim**-0.5)
        self.tables = [
            self.add_weight(
                shape=(size, hidden_dim), initializer=initializer, name=f"axis_{axis}"
            )
            for axis, size in enumerate(self.axis_sizes)
        ]
        self.norm = keras.layers.LayerNormalization(
            epsilon=self.layer_norm_epsilon, dtype=self.dtype_policy, name="norm"
        )
        self.norm.build((1, None, hidden_dim))
        self.output_dropout = SeededDropout(
            self.dropout, dtype=self.dtype_policy, name="dropout"
        )

    def call(self, tokens: Any, training: bool | None = None) -> Any:
        grid = self._static_grid(tokens.shape)
        hidden_dim = tokens.shape[-1]
        positions = sum(
            self._along(axis, length, len(grid)) for axis, length in enumerate(grid)
        )
        count = math.prod(grid)
        positions = ops.reshape(positions, (1, count, hidden_dim))
        positions = call_inner(self.norm, positions)
        tokens = ops.reshape(tokens, (-1, count, hidden_dim))
        tokens = tokens + positions
        return call_inner(self.output_dropout, tokens, training=training)

    def _static_grid(self, shape):
        grid = tuple(shape[1:-1])
        if len(grid) != len(self.axis_sizes) or None in grid:
            raise ValueError(
                f"Expected tokens of shape (batch, {len(self.axis_sizes)} known grid "
                f"axes, hidden_dim). Received: shape={tuple(shape)}"
            )
        return grid

    def _along(self, axis, length, num_axes):
        """Returns the table of an axis, resampled to `length`, ready to broadcast."""
        table = self.tables[axis]
        size = self.axis_sizes[axis]
        if length != size:
            matrix = resampling_matrix(size, length).astype("float32")
            resampled = ops.matmul(matrix, ops.cast(table, "float32"))
            table = ops.cast(resampled, self.compute_dtype)
        shape = [1] * num_axes + [-1]
        shape[axis] = length
        return ops.reshape(table, shape)

    def compute_output_shape(
        self, input_shape: tuple[int | None, ...]
    ) -> tuple[int | None, ...]:
        grid = input_shape[1:-1]
        count = None if None in grid else math.prod(grid)
        return (input_shape[0], count, input_shape[-1])

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.update(
            {
                "axis_sizes": self.axis_sizes,
                "layer_norm_epsilon": self.layer_norm_epsilon,
                "dropout": self.dropout,
            }
        )
        return config


def resampling_matrix(source: int, target: int):
    """Computes the matrix that resamples a table of `source` rows to `target` rows.

    A natural cubic spline through the rows of the table, with row `i` at
    `i / source`, is evaluated at `j / target`. It continues linearly after the last
    row. (The original code computes the same spline in float32, with an error of up
    to 5e-3.)

    Args:
        source: int. Number of rows of the table.
        target: int. Number of rows of the resampled table.

    Returns:
        float64 NumPy array of shape `(target, source)`.
    """
    if source == 1:
        return np.ones((target, 1))
    knots = np.arange(source) / source
    queries = np.arange(target) / target
    spline = CubicSpline(knots, np.eye(source), bc_type="natural")
    last = knots[-1]
    beyond = np.maximum(queries - last, 0)[:, None]
    return spline(np.minimum(queries, last)) + beyond * spline(last, 1)
