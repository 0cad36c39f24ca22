"""PCD: follows one loss and guarantees some progress to the others."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_vatt.harmonization._gram import cosine_matrix, gradient_norms
from keras_vatt.harmonization._harmonizer import StatefulHarmonizer
from keras_vatt.harmonization._moving_average import check_decay, unbiased_rate
from keras_vatt.harmonization._nonnegative import (
    RESOLUTION,
    minimize_nonnegative,
    product,
)


@keras.saving.register_keras_serializable(package="keras_vatt")
class PCD(StatefulHarmonizer):
    """Follows the first loss and guarantees some progress to the others.

    "Not All Objectives Are Born Equal: Priority-Constrained Descent for Hierarchical
    Multi-Objective Optimization" (https://arxiv.org/abs/2606.29521). The first loss is
    the primary one. Each gradient is divided by the root of the moving average of its
    squared norm. The update is the vector nearest to the primary gradient by which
    every other loss improves at least by the fraction `tau` of what its own gradient
    would improve it, at the length of the primary gradient.

    If no vector does that, the update is the primary gradient. If the primary gradient
    is zero, so is the update. Unlike the paper and TorchJD, no `epsilon` is added to
    the averages: they don't depend on the scale of the losses.

    Supports at most 11 losses. The solution is exact.

    State: `"squared_norms"` and `"count"`, of shape `(K,)`: the average for each
    loss, without initial bias, and the number of gradients in it. A zero gradient is
    not counted.

    Args:
        tau: float in `[0, 1]`. Defaults to `0.02`.
        beta: float in `[0, 1)`. Decay of the moving averages. Defaults to `0.999`.

    Raises:
        ValueError: on construction, if an argument is out of range; when called, with
            more than 11 losses.

    Example:
    ```python
    from keras_vatt import harmonization

    gram = [[4.0, 0.0], [0.0, 9.0]]
    weights, apply, state = harmonization.PCD(tau=0.75)(gram)  # [0.8, 0.4], True
    ```
    """

    may_skip = False

    def __init__(self, tau: float = 0.02, beta: float = 0.999) -> None:
        if not 0.0 <= tau <= 1.0:
            raise ValueError(f"`tau` must be in [0, 1]. Received: tau={tau}")
        check_decay("beta", beta)
        self.tau = tau
        self.beta = beta

    def initial_state(self, num_losses: int) -> dict[str, Any]:
        return {
            "squared_norms": np.zeros(num_losses, "float32"),
            "count": np.zeros(num_losses, "float32"),
        }

    def harmonize(self, gram: Any, step: Any, state: dict[str, Any]) -> Any:
        norms = gradient_norms(gram)
        present = ops.cast(norms > 0, "float32")
        count = state["count"] + present
        rate = present * unbiased_rate(self.beta, count)
        average = state["squared_norms"]
        average = average + rate * (norms**2 - average)
        # Those of the divided gradients.
        relative = ops.divide_no_nan(norms, ops.sqrt(average))
        cosines = cosine_matrix(gram)
        direction = _nearest_to_first(cosines, relative, self.tau)
        squared_length = ops.sum(direction * product(cosines, direction))
        # Opposite gradients can cancel up to rounding errors: no update, as for 0.
        resolved = squared_length > RESOLUTION * ops.sum(direction) ** 2
        length = ops.sqrt(ops.where(resolved, squared_length, 1.0))
        direction = ops.where(resolved, direction / length, 0.0)
        weights = ops.divide_no_nan(norms[0], norms) * direction
        return weights, True, {"squared_norms": average, "count": count}

    def get_config(self) -> dict[str, Any]:
        return {"tau": self.tau, "beta": self.beta}


def _nearest_to_first(cosines, norms, tau):
    # In coordinates of the unit gradients, all nonnegative.
    first, norms = norms[:1], norms[1:]
    if not norms.shape[0]:
        return first
    others = cosines[1:, 1:]
    missing = tau * norms - cosines[1:, 0] * first
    added = minimize_nonnegative(others, -missing[None, :])[0]
    # No vector meets all constraints if the best one falls clearly short of one.
    short = ops.max(missing - product(others, added))
    possible = short <= 0.1 * ops.max(ops.abs(missing))
    return ops.concatenate([first, ops.where(possible, added, 0.0)])
