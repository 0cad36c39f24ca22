"""IMTL-G: an update with the same projection on every gradient."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_vatt.harmonization._gram import cosine_matrix, gradient_norms
from keras_vatt.harmonization._harmonizer import Harmonizer
from keras_vatt.harmonization._nonnegative import RESOLUTION, product


@keras.saving.register_keras_serializable(package="keras_vatt")
class IMTLG(Harmonizer):
    """Computes the update that has the same projection on every gradient.

    The gradient part of "Towards Impartial Multi-task Learning" (Liu et al., ICLR
    2021): `w` proportional to `pinv(G) sqrt(diag(G))`, normalized to sum to one. It
    is computed as `D pinv(C) 1`, where `C` are the cosines and `D` the inverse
    norms: the same for independent gradients whatever their norms, and continuous
    where two of them become parallel. The method balances gradients but can leave
    conflicts: with three or more losses a weight can be negative.

    Where no update projects equally on all gradients, such as for opposite ones,
    the weights scale all gradients to the same norm.

    Example:
    ```python
    from keras_vatt import harmonization

    gram = [[9.0, 0.0], [0.0, 1.0]]
    weights, apply = harmonization.IMTLG()(gram)  # [0.25, 0.75], True
    ```
    """

    may_skip = False

    def harmonize(self, gram: Any, step: Any) -> tuple[Any, Any]:
        norms = gradient_norms(gram)
        scale = ops.divide_no_nan(1.0, norms)
        scale = ops.divide_no_nan(scale, ops.max(scale, axis=-1, keepdims=True))
        balanced = scale * least_squares(cosine_matrix(gram), ops.sign(norms))
        solvable = ops.abs(_total(balanced)) > RESOLUTION * _total(scale)
        weights = ops.where(solvable, balanced, scale)
        return ops.divide_no_nan(weights, _total(weights)), True


def least_squares(matrix, vector):
    """Computes the shortest least squares solution of `matrix x = vector`.

    Args:
        matrix: float32 tensor of shape `(..., K, K)`, positive semidefinite, with a
            diagonal of about 1.
        vector: float32 tensor of shape `(..., K)`.

    Returns:
        float32 tensor of shape `(..., K)`.
    """
    eigenvalues, eigenvectors = ops.eigh(matrix)
    resolved = eigenvalues > RESOLUTION * matrix.shape[-1]
    inverses = ops.where(resolved, ops.divide_no_nan(1.0, eigenvalues), 0.0)
    coordinates = inverses * product(ops.swapaxes(eigenvectors, -2, -1), vector)
    return product(eigenvectors, coordinates)


def _total(values):
    return ops.sum(values, axis=-1, keepdims=True)
