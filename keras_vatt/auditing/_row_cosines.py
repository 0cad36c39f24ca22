"""Cosines of the rows of two matrices."""

import numpy as np

from keras_vatt.inference._common_spaces import unit_vectors

# Rows per block that is converted to float64: bounds the memory.
_ROWS = 4096


def row_cosines(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Computes the cosine of each row of one matrix with the same row of another.

    Args:
        first: float array of shape `(rows, dim)`.
        second: array of the same shape.

    Returns:
        float64 array of shape `(rows,)`; 0 where a row is zero.
    """
    parts = []
    for start in range(0, len(first), _ROWS):
        rows = slice(start, start + _ROWS)
        products = unit_vectors(first[rows]) * unit_vectors(second[rows])
        parts.append(np.sum(products, axis=1))
    return np.clip(np.concatenate(parts), -1.0, 1.0)
