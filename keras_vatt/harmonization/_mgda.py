"""MGDA: the shortest convex combination of the gradients."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_vatt.harmonization._gram import cosine_matrix, gradient_norms
from keras_vatt.harmonization._harmonizer import Harmonizer
from keras_vatt.harmonization._nonnegative import minimize_nonnegative


@keras.saving.register_keras_serializable(package="keras_vatt")
class MGDA(Harmonizer):
    """Computes the point of the gradients' convex hull that is nearest to zero.

    The multiple-gradient descent algorithm of "Multiple-gradient descent algorithm
    (MGDA) for multiobjective optimization" (Désidéri, 2012), as in "Multi-Task
    Learning as Multi-Objective Optimization" (https://arxiv.org/abs/1810.04650).
    The weights are nonnegative and sum to one: the update is a convex combination
    of the gradients, not their sum. It conflicts with none of them.

    Supports at most 10 losses. The solution is exact, not the Frank-Wolfe iteration
    of the paper.

    Raises:
        ValueError: when called with more than 10 losses.

    Example:
    ```python
    from keras_vatt import harmonization

    gram = [[1.0, 0.0], [0.0, 3.0]]
    weights, apply = harmonization.MGDA()(gram)  # [0.75, 0.25], True
    ```
    """

    may_skip = False

    def harmonize(self, gram: Any, step: Any) -> tuple[Any, Any]:
        norms = gradient_norms(gram)
        weights = ops.divide_no_nan(nearest_to_zero(cosine_matrix(gram), norms), norms)
        total = ops.sum(weights, axis=-1, keepdims=True)
        return ops.divide_no_nan(weights, total), True


def nearest_to_zero(cosines, norms):
    """Computes the point of the convex hull nearest to zero, up to a factor.

    On the simplex the squared norm `w' G w` is least where the multiple `v` of `w`
    minimizes `v' G v + (sum v - 1)^2` over `v >= 0`, and that problem stays well
    posed where the gradients cancel.

    Args:
        cosines: float32 tensor of shape `(..., K, K)`.
        norms: float32 tensor of shape `(..., K)`.

    Returns:
        float32 tensor of shape `(..., K)`: coordinates with respect to the unit vectors
        along the gradients, nonnegative.
    """
    inverse_norms = ops.divide_no_nan(1.0, norms)
    largest = ops.max(inverse_norms, axis=-1, keepdims=True)
    inverse_norms = ops.divide_no_nan(inverse_norms, largest)
    matrix = cosines + inverse_norms[..., :, None] * inverse_norms[..., None, :]
    return minimize_nonnegative(matrix, -inverse_norms[..., None, :])[..., 0, :]
