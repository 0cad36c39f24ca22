"""Gradient Vaccine: raises the cosines of the gradients to a target."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_vatt.harmonization._harmonizer import Harmonizer
from keras_vatt.harmonization._sequential import adjust_in_turn
from keras_vatt.harmonization._thresholds import check_cosine, cosine_at

# A cosine of 1 takes an infinite multiple; for -1 the multiple is undetermined.
_LARGEST_TARGET = 1.0 - 1e-6


@keras.saving.register_keras_serializable(package="keras_vatt")
class GradVac(Harmonizer):
    """Raises the cosine between each gradient and the others to a target.

    "Gradient Vaccine: Investigating and Improving Multi-task Optimization in
    Massively Multilingual Models" (https://arxiv.org/abs/2010.05874). Each
    gradient is compared with the original others in turn; where the cosine is below
    the target, the multiple of the other that raises it to the target is added.
    The update is the sum of the results. With target 0 this is `PCGrad`.

    The paper takes as target of each pair the moving average of its past cosines:
    that is `MovingGradVac`. Here the target is an argument, the same for all pairs.
    The order is that of `PCGrad`.

    Args:
        target: float in `[-1, 1]`, or a callable `step -> cosine` such as
            `LinearThreshold`. Defaults to `0.0`.

    Raises:
        ValueError: if `target` is a float outside of `[-1, 1]`.

    Example:
    ```python
    from keras_vatt import harmonization

    gram = [[1.0, 0.0], [0.0, 1.0]]
    weights, apply = harmonization.GradVac(target=0.6)(gram)  # [1.75, 1.75], True
    ```
    """

    may_skip = False

    def __init__(self, target: float | Callable[[Any], Any] = 0.0) -> None:
        if not callable(target):
            check_cosine("target", target)
        self.target = target

    def harmonize(self, gram: Any, step: Any) -> tuple[Any, Any]:
        target = cosine_at(self.target, step)

        def adjust(product, norm, other):
            cosine = ops.clip(ops.divide_no_nan(product, norm), -1.0, 1.0)
            return amount_to_target(norm, cosine, target)

        return adjust_in_turn(gram, adjust), True

    def get_config(self) -> dict[str, Any]:
        return {"target": keras.saving.serialize_keras_object(self.target)}


def amount_to_target(norm, cosine, target):
    """Computes the multiple of a unit vector that raises a cosine with it.

    Args:
        norm: float32 tensor. Norm of the vector that it is added to.
        cosine: float32 tensor. Cosine of that vector with the unit vector.
        target: float32 tensor. Cosine to reach.

    Returns:
        float32 tensor, 0 where the cosine is not below the target.
    """
    target = ops.clip(target, -_LARGEST_TARGET, _LARGEST_TARGET)
    amount = norm * (target * _sine(cosine) / _sine(target) - cosine)
    return ops.where(cosine < target, amount, 0.0)


def _sine(cosine):
    return ops.sqrt((1.0 - cosine) * (1.0 + cosine))
