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

    def harmonize(self, gram: Any, step: Any) -> tuple[Any, Any]:
        norms = gradient_norms(gram)
        scale = ops.divide_no_nan(1.0, norms)
        scale = ops.divide_no_nan(scale, ops.max(scale))
        balanced = scale * _least_squares(cosine_matrix(gram), ops.sign(norms))
        solvable = ops.abs(ops.sum(balanced)) > RESOLUTION * ops.sum(scale)
        weights = ops.where(solvable, balanced, scale)
        return ops.divide_no_nan(weights, ops.sum(weights)), True


def _least_squares(matrix, vector):
    eigenvalues, eigenvectors = ops.eigh(matrix)
    resolved = eigenvalues > RESOLUTION * matrix.shape[0]
    inverses = ops.where(resolved, ops.divide_no_nan(1.0, eigenvalues), 0.0)
    coordinates = inverses * product(ops.transpose(eigenvectors), vector)
    return product(eigenvectors, coordinates)
