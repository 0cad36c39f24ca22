"""Eigenvalues of a Gram matrix of gradients of very different norms."""

import functools

import numpy as np
from keras import ops

# More than enough for ten losses: the convergence is quadratic.
_NUM_SWEEPS = 6


def eigen_decomposition(matrix):
    """Computes eigenvalues and eigenvectors by Jacobi rotations.

    A small eigenvalue keeps its relative precision if the cosines of the gradients
    determine it. `ops.eigh` loses those below 1e-7 of the largest, as for norms that
    differ by a factor of 3000.

    Args:
        matrix: float32 tensor of shape `(..., K, K)`, symmetric and positive
            semidefinite.

    Returns:
        Tuple of float32 tensors: eigenvalues, of shape `(..., K)`, in no order, and
        eigenvectors in the columns of `(..., K, K)`.
    """
    size = matrix.shape[-1]
    vectors = ops.zeros_like(matrix) + ops.eye(size, dtype="float32")
    sweep = _sweep(size)
    matrix, vectors = ops.fori_loop(0, _NUM_SWEEPS, sweep, (matrix, vectors))
    return ops.diagonal(matrix, axis1=-2, axis2=-1), vectors


@functools.cache
def _sweep(size):
    # One function per size: JAX, when run eagerly, compiles a loop once for each.
    rounds = _rounds(size)

    def sweep(_, state):
        matrix, vectors = state
        for partner in rounds:
            matrix, vectors = _rotate(matrix, vectors, partner)
        return matrix, vectors

    return sweep


def _rounds(size):
    """Lists the partner of each coordinate: every pair meets in one round."""
    players = list(range(size + size % 2))
    rounds = []
    for _ in players[1:]:
        partner = np.arange(size)
        half = len(players) // 2
        for first, second in zip(players[:half], players[: half - 1 : -1], strict=True):
            if max(first, second) < size:
                partner[first], partner[second] = second, first
        rounds.append(partner)
        players = [players[0], players[-1], *players[1:-1]]
    return rounds


def _rotate(matrix, vectors, partner):
    # All pairs of a round at once: coordinate i turns to `c_i x_i - s_i x_partner`.
    size = len(partner)
    own = ops.diagonal(matrix, axis1=-2, axis2=-1)
    indices = ops.convert_to_tensor(partner, "int32")
    other = ops.take(own, indices, axis=-1)
    is_paired = partner != np.arange(size)
    pairs = np.eye(size)[partner] * is_paired[:, None]
    shared = ops.sum(matrix * ops.convert_to_tensor(pairs, "float32"), axis=-1)
    slope = ops.divide_no_nan(other - own, 2.0 * shared)
    # Equal diagonal entries turn by 45 degrees, the two in opposite directions.
    direction = np.where(np.arange(size) < partner, 1.0, -1.0)
    direction = ops.convert_to_tensor(direction, "float32")
    direction = ops.where(slope == 0, direction, ops.sign(slope))
    tangent = direction / (ops.abs(slope) + ops.sqrt(1.0 + slope**2))
    tangent = ops.where(shared == 0, 0.0, tangent)
    cosine = 1.0 / ops.sqrt(1.0 + tangent**2)
    sine = tangent * cosine

    def turn_columns(columns):
        swapped = ops.take(columns, indices, axis=-1)
        return cosine[..., None, :] * columns - sine[..., None, :] * swapped

    half = ops.swapaxes(turn_columns(matrix), -2, -1)
    return turn_columns(half), turn_columns(vectors)
