"""Solves small quadratic problems over nonnegative numbers by enumeration.

Over the nonnegative numbers, the minimum of a convex quadratic solves a linear
system on its support, the set of its positive coordinates. K losses have 2^K
supports, few enough to solve all of them exactly in one batch: no iteration, whose
error would depend on the matrix, and no data-dependent control flow.
"""

import itertools

from keras import ops

_MOST_LOSSES = 10

# What a float32 Gram matrix of unit vectors can resolve: smaller eigenvalues are
# rounding errors. Added to the diagonal, it decides between the solutions of a
# singular system (parallel or opposite gradients) for the smallest one. It moves the
# update by at most its square root, a thousandth, of the length of the coefficients.
RESOLUTION = 1e-6


def minimize_nonnegative(matrix, linear):
    """Computes the `x >= 0` that minimizes `x' matrix x / 2 + linear' x`.

    Args:
        matrix: float32 tensor of shape `(..., K, K)`, positive semidefinite, with a
            diagonal of about 1. Where a whole row is zero, so is the solution.
        linear: float32 tensor of shape `(..., problems, K)`.

    Returns:
        float32 tensor of shape `(..., problems, K)`.

    Raises:
        ValueError: if K is greater than 10.
    """
    inverses = support_inverses(matrix)
    linear = linear[..., None, :, :]
    candidates = -product(inverses[..., None, :, :], linear)
    slopes = product(regularized(matrix)[..., None, None, :, :], candidates) + linear
    return best_candidate(candidates, slopes)


def support_inverses(matrix):
    """Computes the inverses of `regularized(matrix)` restricted to each support.

    Args:
        matrix: float32 tensor of shape `(..., K, K)`.

    Returns:
        float32 tensor of shape `(..., 2^K, K, K)`, zero outside the rows and columns
        of the support.

    Raises:
        ValueError: if K is greater than 10.
    """
    size = matrix.shape[-1]
    if size > _MOST_LOSSES:
        raise ValueError(
            "This method solves 2^K systems for K losses and supports at most "
            f"{_MOST_LOSSES}. Received: {size} losses"
        )
    supports = ops.array(list(itertools.product([0.0, 1.0], repeat=size)), "float32")
    inside = supports[:, :, None] * supports[:, None, :]
    outside = ops.eye(size, dtype="float32") * (1.0 - inside)
    systems = inside * regularized(matrix)[..., None, :, :] + outside
    return inside * inverses(systems)


def regularized(matrix):
    """Adds `RESOLUTION` to the diagonals of `(..., K, K)` matrices."""
    return matrix + RESOLUTION * ops.eye(matrix.shape[-1], dtype="float32")


def best_candidate(candidates, slopes):
    """Returns the candidate that comes closest to the conditions of a minimum.

    At the minimum, no coordinate and no slope is negative. This
    separates candidates better than the value of the quadratic, which is flat
    around its minimum. If several are equally good (some gradients are equal),
    their mean is too, and it is symmetric in the coordinates.

    Args:
        candidates: float32 tensor of shape `(..., supports, problems, K)`.
        slopes: float32 tensor of the same shape: the derivatives with respect to
            the coordinates; negative infinity rules a candidate out.

    Returns:
        float32 tensor of shape `(..., problems, K)`.
    """
    lowest = ops.min(ops.minimum(candidates, slopes), axis=-1)
    lowest = ops.minimum(lowest, 0.0)
    equally_good = lowest >= ops.max(lowest, axis=-2, keepdims=True) - RESOLUTION
    # Not a product with 0: a candidate that is not chosen may be infinite.
    chosen = ops.where(equally_good[..., None], candidates, 0.0)
    count = ops.sum(ops.cast(equally_good, "float32"), axis=-2)[..., None]
    return ops.maximum(ops.sum(chosen, axis=-3) / count, 0.0)


def product(matrix, vector):
    """Multiplies float32 matrices and vectors over any leading axes.

    `ops.matmul` may round its inputs to bfloat16 on accelerators.
    """
    return ops.sum(matrix * vector[..., None, :], axis=-1)


def inverses(matrices):
    """Inverts positive definite float32 matrices of shape `(..., K, K)`."""
    # Gauss-Jordan elimination without pivoting, which positive definite matrices
    # don't need. On some backends `ops.inv` raises for a singular matrix, even inside
    # a compiled program; here the result is not finite and the step is skipped.
    size = matrices.shape[-1]
    identity = ops.eye(size, dtype="float32")
    # `broadcast_to` would need the sizes of all axes, which a program may not know.
    right_sides = identity + ops.zeros_like(matrices)
    rows = ops.concatenate([matrices, right_sides], axis=-1)
    for k in range(size):
        pivot_row = rows[..., k : k + 1, :] / rows[..., k : k + 1, k : k + 1]
        factors = rows[..., k : k + 1] - identity[:, k : k + 1]
        rows = rows - factors * pivot_row
    return rows[..., size:]
