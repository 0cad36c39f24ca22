"""Aligned-MTL: gradients made orthogonal and of one length."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_vatt.harmonization._gram import squared_norms
from keras_vatt.harmonization._harmonizer import Harmonizer
from keras_vatt.harmonization._jacobi import eigen_decomposition
from keras_vatt.harmonization._nonnegative import RESOLUTION, product

_SCALE_MODES = ("min", "median", "rmse")


@keras.saving.register_keras_serializable(package="keras_vatt")
class AlignedMTL(Harmonizer):
    """Sums the gradients after making them orthogonal and of one length.

    "Independent Component Alignment for Multi-Task Learning"
    (https://arxiv.org/abs/2305.19000). All singular values of the matrix of gradients
    are set to one value; the singular vectors stay. For independent gradients the
    results are orthogonal, and the update is their sum. TorchJD and the paper weight
    the results by 1/K: 1/K of ours.

    Gradients that depend on each other have fewer principal components than losses;
    the missing ones are left out. The update can conflict with a gradient much shorter
    than the others, and with three or more losses a weight can be negative.

    Args:
        scale_mode: `"min"`, `"median"` or `"rmse"`. The common singular value: the
            smallest one, as in the paper, the square root of the (lower) median of the
            eigenvalues of the Gram matrix, or that of their mean. Defaults to `"min"`.

    Raises:
        ValueError: if `scale_mode` is none of these.

    Example:
    ```python
    from keras_vatt import harmonization

    gram = [[4.0, 0.0], [0.0, 1.0]]
    weights, apply = harmonization.AlignedMTL()(gram)  # [0.5, 1], True
    ```
    """

    may_skip = False

    def __init__(self, scale_mode: str = "min") -> None:
        if scale_mode not in _SCALE_MODES:
            raise ValueError(
                f"`scale_mode` must be one of {_SCALE_MODES}. "
                f"Received: scale_mode={scale_mode!r}"
            )
        self.scale_mode = scale_mode

    def harmonize(self, gram: Any, step: Any) -> tuple[Any, Any]:
        squares = squared_norms(gram)
        largest = ops.max(squares, axis=-1, keepdims=True)
        gram = ops.divide_no_nan(gram, largest[..., None])
        squares = ops.divide_no_nan(squares, largest)
        eigenvalues, vectors = eigen_decomposition(gram)
        # An eigenvalue of 0 is a rounding error of its terms, which are those of the
        # cosines, weighted by the squared norms of the gradients.
        terms = ops.sum(vectors**2 * squares[..., :, None], axis=-2)
        resolved = eigenvalues > RESOLUTION * gram.shape[-1] * terms
        scale = self._scale(eigenvalues, resolved)
        ratios = scale / ops.where(resolved, eigenvalues, 1.0)
        inverses = ops.sqrt(ops.where(resolved, ratios, 0.0))
        return product(vectors, inverses * ops.sum(vectors, axis=-2)), True

    def _scale(self, eigenvalues, resolved):
        count = ops.sum(ops.cast(resolved, "float32"), axis=-1, keepdims=True)
        if self.scale_mode == "rmse":
            kept = ops.where(resolved, eigenvalues, 0.0)
            return ops.divide_no_nan(ops.sum(kept, axis=-1, keepdims=True), count)
        # Sorted behind all resolved ones.
        ordered = ops.sort(ops.where(resolved, eigenvalues, 1e9), axis=-1)
        if self.scale_mode == "min":
            return ordered[..., :1]
        middle = ops.floor((count - 1.0) / 2.0)
        ranks = ops.arange(eigenvalues.shape[-1], dtype="float32")
        chosen = ops.where(ranks == middle, ordered, 0.0)
        return ops.sum(chosen, axis=-1, keepdims=True)

    def get_config(self) -> dict[str, Any]:
        return {"scale_mode": self.scale_mode}
