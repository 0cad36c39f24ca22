"""UPGrad: every gradient projected onto the dual cone, then summed."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_vatt.harmonization._gram import cosine_matrix, gradient_norms
from keras_vatt.harmonization._harmonizer import Harmonizer
from keras_vatt.harmonization._nonnegative import minimize_nonnegative


@keras.saving.register_keras_serializable(package="keras_vatt")
class UPGrad(Harmonizer):
    """Sums the projections of the gradients onto the dual cone.

    "Jacobian Descent for Multi-Objective Optimization"
    (https://arxiv.org/abs/2406.16232). Each gradient is replaced by the nearest
    vector whose inner product with every original gradient is nonnegative. The
    paper, and TorchJD, take the mean of the results; here it is their sum, so
    that the weights are ones where nothing conflicts.

    Supports at most 10 losses. The solution is exact.

    Raises:
        ValueError: when called with more than 10 losses.

    Example:
    ```python
    from keras_vatt import harmonization

    gram = [[1.0, -0.5], [-0.5, 2.0]]
    weights, apply = harmonization.UPGrad()(gram)  # [1.5, 1.25], True
    ```
    """

    may_skip = False

    def harmonize(self, gram: Any, step: Any) -> tuple[Any, Any]:
        norms = gradient_norms(gram)
        cosines = cosine_matrix(gram)
        # Row i: what to add to unit gradient i, in terms of the unit gradients.
        corrections = minimize_nonnegative(cosines, cosines)
        added = ops.sum(norms[..., :, None] * corrections, axis=-2)
        return 1.0 + ops.divide_no_nan(added, norms), True
