"""Weights on the simplex, for the methods that move them by gradient descent."""

import numpy as np
from keras import ops

_FAR = 1e30


def center_of_simplex(num_losses):
    """Returns the weights of the mean, a float32 array of shape `(num_losses,)`."""
    return np.full(num_losses, 1.0 / num_losses, "float32")


def project_onto_simplex(point, present):
    """Computes the nearest vector with nonnegative entries that sum to one.

    Args:
        point: float32 tensor of shape `(..., K)`.
        present: bool tensor of shape `(..., K)`. The other entries become 0.

    Returns:
        float32 tensor of shape `(..., K)`.
    """
    point = ops.where(present, point, -_FAR)
    descending = ops.flip(ops.sort(point, axis=-1), axis=-1)
    counts = ops.arange(1, point.shape[-1] + 1, dtype="float32")
    # The threshold that leaves a sum of one, if the largest `count` entries stay. The
    # right count has the largest threshold.
    thresholds = (ops.cumsum(descending, axis=-1) - 1.0) / counts
    threshold = ops.max(thresholds, axis=-1, keepdims=True)
    return ops.where(present, ops.maximum(point - threshold, 0.0), 0.0)


def scaled_to_mean_norm_one(gram, norms, present):
    """Divides gradients by the mean of their norms; returns their Gram matrix.

    Args:
        gram: float32 tensor of shape `(..., K, K)`.
        norms: float32 tensor of shape `(..., K)`.
        present: bool tensor of shape `(..., K)`. The others are not counted.

    Returns:
        float32 tensor of shape `(..., K, K)`.
    """
    count = ops.sum(ops.cast(present, "float32"), axis=-1, keepdims=True)
    mean = ops.divide_no_nan(ops.sum(norms, axis=-1, keepdims=True), count)[..., None]
    # Two divisions, because the square could overflow or underflow.
    return ops.divide_no_nan(ops.divide_no_nan(gram, mean), mean)
