"""CR-MOGM: weights that are averaged over the steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_vatt.harmonization._gram import squared_norms
from keras_vatt.harmonization._harmonizer import Harmonizer, StatefulHarmonizer

_PREFIX = "harmonizer_"


@keras.saving.register_keras_serializable(package="keras_vatt")
class CRMOGM(StatefulHarmonizer):
    """Averages the weights of another harmonizer over the steps.

    "On the Convergence of Stochastic Multi-Objective Gradient Manipulation and Beyond"
    (Zhou et al., NeurIPS 2022). The weights are
    `alpha * previous weights + (1 - alpha) * weights of the harmonizer`; at the first
    step they are those of the harmonizer. The average reduces the bias
    that comes from computing weights and update on the same batch.

    A promise of the harmonizer for every step, such as an update without conflict, does
    not hold for its average.

    State: `"weights"` and `"count"`, of shape `(K,)`: the average for each loss and the
    number of steps in it. A skipped step leaves them as they were, and so does a
    zero gradient for its loss. If the harmonizer has a state, its names are
    prefixed with `"harmonizer_"`.

    Args:
        harmonizer: `Harmonizer` to average, also a `Chain` or a stateful one.
        alpha: float in `[0, 1]`, or a callable `step -> alpha`. Weight of the average
            so far. The paper's theory increases it as the learning rate decreases.
            Defaults to `0.9`.

    Raises:
        ValueError: if `harmonizer` is no `Harmonizer` or `alpha` a float out of range.

    Example:
    ```python
    from keras_vatt import harmonization

    smooth = harmonization.CRMOGM(harmonization.MGDA(), alpha=0.5)
    weights, apply, state = smooth([[1.0, 0.0], [0.0, 3.0]])  # [0.75, 0.25]
    weights, apply, state = smooth([[1.0, 0.0], [0.0, 1.0]], 1, state)
    weights  # [0.625, 0.375]
    ```
    """

    def __init__(
        self, harmonizer: Harmonizer, alpha: float | Callable[[Any], Any] = 0.9
    ) -> None:
        if not isinstance(harmonizer, Harmonizer):
            raise ValueError(
                "`harmonizer` must be a `Harmonizer`, such as "
                "`keras_vatt.harmonization.get` returns for a name. "
                f"Received: {harmonizer!r}"
            )
        if not callable(alpha) and not 0.0 <= alpha <= 1.0:
            raise ValueError(f"`alpha` must be in [0, 1]. Received: alpha={alpha}")
        self.harmonizer = harmonizer
        self.alpha = alpha
        self.may_skip = harmonizer.may_skip

    def initial_state(self, num_losses: int) -> dict[str, Any]:
        inner = self.harmonizer.initial_state(num_losses)
        return {
            "weights": np.zeros(num_losses, "float32"),
            "count": np.zeros(num_losses, "float32"),
            **{_PREFIX + name: value for name, value in inner.items()},
        }

    def harmonize(self, gram: Any, step: Any, state: dict[str, Any]) -> Any:
        newest, apply, inner = self._newest(gram, step, state)
        average, count = state["weights"], state["count"]
        alpha = self.alpha(step) if callable(self.alpha) else self.alpha
        alpha = ops.where(count > 0, ops.cast(alpha, "float32"), 0.0)
        weights = alpha * average + (1.0 - alpha) * newest
        counted = ops.logical_and(apply, squared_norms(gram) > 0)
        new_state = {
            "weights": ops.where(counted, weights, average),
            "count": ops.where(counted, count + 1.0, count),
        }
        return weights, apply, new_state | inner

    def _newest(self, gram, step, state):
        if not isinstance(self.harmonizer, StatefulHarmonizer):
            return *self.harmonizer(gram, step), {}
        inner = {
            name.removeprefix(_PREFIX): value
            for name, value in state.items()
            if name.startswith(_PREFIX)
        }
        weights, apply, inner = self.harmonizer(gram, step, inner)
        return weights, apply, {_PREFIX + name: v for name, v in inner.items()}

    def get_config(self) -> dict[str, Any]:
        return {
            "harmonizer": keras.saving.serialize_keras_object(self.harmonizer),
            "alpha": keras.saving.serialize_keras_object(self.alpha),
        }
