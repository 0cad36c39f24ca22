"""CAGrad: maximizes the smallest improvement of a loss near the sum."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_vatt.harmonization._gram import cosine_matrix, relative_norms
from keras_vatt.harmonization._harmonizer import Harmonizer
from keras_vatt.harmonization._mgda import nearest_to_zero
from keras_vatt.harmonization._nonnegative import (
    RESOLUTION,
    best_candidate,
    minimize_nonnegative,
    product,
    regularized,
    support_inverses,
)


@keras.saving.register_keras_serializable(package="keras_vatt")
class CAGrad(Harmonizer):
    """Maximizes the improvement of the worst loss, near the sum of the gradients.

    "Conflict-Averse Gradient Descent for Multi-task Learning"
    (https://arxiv.org/abs/2110.14048). The update is the vector within
    `c * |g_0|` of `g_0` whose smallest inner product with a gradient is largest. The
    paper's `g_0` is the mean of the gradients; here it is their sum
    and the update K times the paper's, so that `c=0` is exactly the plain sum.

    Where a convex combination of the gradients vanishes, no update can improve
    every loss. If `c` is large enough, several updates make no loss worse: the one
    nearest to the sum is used.

    Supports at most 10 losses. The solution is exact, not iterative.

    Args:
        c: nonnegative float. Radius of the ball around the sum, relative to the
            norm of the sum. The paper requires `c < 1`. Defaults to `0.5`.

    Raises:
        ValueError: on construction, if `c` is negative or not finite; when called,
            with more than 10 losses.

    Example:
    ```python
    from keras_vatt import harmonization

    gram = [[1.0, 0.0], [0.0, 1.0]]
    weights, apply = harmonization.CAGrad(c=0.5)(gram)  # [1.5, 1.5], True
    ```
    """

    may_skip = False

    def __init__(self, c: float = 0.5) -> None:
        if not 0 <= c < float("inf"):
            raise ValueError(f"`c` must be finite and not negative. Received: c={c}")
        self.c = c

    def harmonize(self, gram: Any, step: Any) -> tuple[Any, Any]:
        norms = relative_norms(gram)
        cosines = cosine_matrix(gram)
        with_sum = product(cosines, norms)
        squared_length = _inner_product(norms, with_sum)
        radius = self.c * ops.sqrt(ops.maximum(squared_length, 0.0))

        nearest = minimize_nonnegative(cosines, with_sum[..., None, :])[..., 0, :]
        within = _inner_product(nearest, product(cosines, nearest)) <= radius**2
        harmless = ops.logical_and(_some_combination_vanishes(cosines, norms), within)
        farthest = _largest_worst_improvement(cosines, norms, with_sum, radius)
        added = ops.where(harmless, nearest, farthest)
        return 1.0 + ops.divide_no_nan(added, norms), True

    def get_config(self) -> dict[str, Any]:
        return {"c": self.c}


def _some_combination_vanishes(cosines, norms):
    hull = nearest_to_zero(cosines, ops.sign(norms))
    squared_length = _inner_product(hull, product(cosines, hull))
    total = ops.sum(hull, axis=-1, keepdims=True)
    return squared_length <= 10.0 * RESOLUTION * total**2


def _largest_worst_improvement(cosines, norms, with_sum, radius):
    # The vector v, in coordinates of the unit gradients, is added to the sum and has
    # length `radius`. On the support of v all losses improve equally, by
    # `level + rise` in units of the smallest norm, which is linear in v; the others
    # improve more. Solving both for v gives one candidate per support. If equal
    # improvement takes more than `radius`, the rise is 0 and v is not a candidate: its
    # products with `scale` sum to 0, so it has a negative coordinate.
    scale = ops.divide_no_nan(1.0, norms)
    scale = ops.divide_no_nan(scale, ops.max(scale, axis=-1, keepdims=True))
    # The supports are the axis before the last, as in `support_inverses`.
    scale, with_sum, radius = (x[..., None, :] for x in (scale, with_sum, radius))
    inverses = support_inverses(cosines)
    toward = product(inverses, scale)
    per_rise = _inner_product(scale, toward)
    level = ops.divide_no_nan(_inner_product(with_sum, toward), per_rise)
    levelled = product(inverses, level * scale - with_sum)
    spent = _inner_product(level * scale - with_sum, levelled)
    rise = ops.maximum(radius**2 - spent, 0.0)
    rise = ops.sqrt(ops.divide_no_nan(rise, per_rise))
    added = levelled + rise * toward
    slopes = product(regularized(cosines)[..., None, :, :], added)
    slopes = slopes + with_sum - (level + rise) * scale
    slopes = ops.where(per_rise > 0, slopes, -np.inf)
    return best_candidate(added[..., None, :], slopes[..., None, :])[..., 0, :]


def _inner_product(first, second):
    return ops.sum(first * second, axis=-1, keepdims=True)
