"""Cosines of all windows of a shard with a vector."""

import numpy as np

from keras_vatt.inference._common_spaces import unit_vectors
from keras_vatt.search._errors import MediaIndexError

# Windows per multiplication: their rows are copied to float64.
CHUNK_WINDOWS = 8_192

# Cosines are rounded so that equal media have equal scores, wherever in a matrix
# they stand: the products of float32 rows are exact to about this.
_DECIMALS = 6


def window_scores(shard, names, vector):
    """Computes the cosines of windows with a vector.

    Of a window with several embeddings, the mean of their unit vectors is compared;
    of one that lacks some, that of those it has.

    Args:
        shard: `Shard`.
        names: tuple of the names of its matrices, one per modality.
        vector: float64 array `(dim,)` of length 1.

    Returns:
        Tuple of the numbers of the windows that have any of the embeddings, of their
        cosines, and of a bool array `(windows, names)` of which they have.

    Raises:
        MediaIndexError: if the index has embeddings of another width, or some that are
            not finite.
    """
    owners = {
        name: np.asarray(shard.rows[name.partition("_")[0]], np.int64)
        for name in names
        if name in shard.matrices
    }
    for name in owners:
        _check_width(shard.matrices[name], vector, name)
    has = np.zeros((len(shard.windows), len(names)), bool)
    scores = np.zeros(len(shard.windows))
    for first in range(0, len(scores), CHUNK_WINDOWS):
        total = np.zeros((min(CHUNK_WINDOWS, len(scores) - first), len(vector)))
        for name, numbers in owners.items():
            low, high = np.searchsorted(numbers, [first, first + len(total)])
            rows = np.asarray(shard.matrices[name][low:high], np.float64)
            _check_finite(rows, name)
            total[numbers[low:high] - first] += rows
            has[numbers[low:high], names.index(name)] = True
        cosines = unit_vectors(total) @ vector
        scores[first : first + len(total)] = cosines.round(_DECIMALS)
    (found,) = np.nonzero(has.any(axis=1))
    return found, scores[found], has[found]


def _check_width(matrix, vector, name):
    if matrix.shape[1] != len(vector):
        raise MediaIndexError(
            f"The index has embeddings {name} of width {matrix.shape[1]}, the query "
            f"has {len(vector)}."
        )


def _check_finite(rows, name):
    if not np.isfinite(rows).all():
        raise MediaIndexError(
            f"The index has embeddings {name} that are not finite: make it again."
        )
