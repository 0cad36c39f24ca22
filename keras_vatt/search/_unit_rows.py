"""Rows of length 1, whose product is the cosine."""

import numpy as np

from keras_vatt.inference._common_spaces import unit_vectors
from keras_vatt.search._errors import MediaIndexError


def unit_rows(embeddings):
    """Computes float32 rows of length 1; a row of zeros stays as it is.

    Args:
        embeddings: array `(rows, dim)`.

    Returns:
        float32 array of the same shape.

    Raises:
        MediaIndexError: if there are numbers that aren't finite.
    """
    if not np.isfinite(embeddings).all():
        raise MediaIndexError(
            "The model computes embeddings that are not finite: its weights are broken."
        )
    return unit_vectors(embeddings).astype(np.float32)
