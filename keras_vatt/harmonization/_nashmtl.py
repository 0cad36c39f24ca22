"""Nash-MTL: the bargaining solution of Nash."""

from __future__ import annotations

from typing import Any

import keras

from keras_vatt.harmonization._bargaining import fair_weights
from keras_vatt.harmonization._harmonizer import Harmonizer


@keras.saving.register_keras_serializable(package="keras_vatt")
class NashMTL(Harmonizer):
    """Computes the bargaining solution of Nash for the losses.

    "Multi-Task Learning as a Bargaining Game" (https://arxiv.org/abs/2202.01017). In a
    ball around zero, the update maximizes the product of the improvements of all
    losses. Its weights are proportional to the positive solution of `G a = 1 / a`. Each
    gradient is divided by its own norm on the way, so that the direction does not
    depend on the norms. The update conflicts with no gradient.

    The equation is solved to float32 precision at every step. The code of the paper,
    and TorchJD, run a few convex approximations from the weights before, may keep those
    for several steps, divide `G` by its Frobenius norm, and limit the norm of the
    update to `max_norm`. Here the weights are scaled to mean 1: that cancels the scale
    of the losses. To limit the norm of the update, use `global_clipnorm` of the
    optimizer.

    Example:
    ```python
    from keras_vatt import harmonization

    gram = [[9.0, 0.0], [0.0, 1.0]]
    weights, apply = harmonization.NashMTL()(gram)  # [0.5, 1.5], True
    ```
    """

    may_skip = False

    def harmonize(self, gram: Any, step: Any) -> tuple[Any, Any]:
        return fair_weights(gram, power=1.0), True
