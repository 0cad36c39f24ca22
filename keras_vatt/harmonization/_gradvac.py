"""Gradient Vaccine: raises the cosines of the gradients to a target."""

import keras
from keras import ops

from keras_vatt.harmonization._harmonizer import Harmonizer
from keras_vatt.harmonization._sequential import adjust_in_turn
from keras_vatt.harmonization._thresholds import check_cosine, cosine_at

# To reach a cosine of 1 takes an infinite amount, at -1 any amount would do.
_LARGEST_TARGET = 1.0 - 1e-6


@keras.saving.register_keras_serializable(package="keras_vatt")
class GradVac(Harmonizer):
    """Turns each gradient towards the others until their cosine is on target.

    "Gradient Vaccine: Investigating and Improving Multi-task Optimization in
    Massively Multilingual Models" (https://arxiv.org/abs/2010.05874). Each
    gradient visits the original others; where the cosine with the one visited is
    below the target, as much of it is added as brings the cosine to the target.
    The update is the sum of the results. With target 0 this is `PCGrad`.

    The paper takes as target of each pair the moving average of its past cosines.
    A pure function of Gram matrix and step has no memory, so the target is given
    here, one for all pairs. The order of the visits is that of `PCGrad`.

    Args:
        target: float in `[-1, 1]`, or a callable `step -> cosine` such as
            `LinearThreshold`. Defaults to `0.0`.

    Raises:
        ValueError: if `target` is a float that is no cosine.

    Example:
    ```python
    from keras_vatt import harmonization

    gram = [[1.0, 0.0], [0.0, 1.0]]
    weights, apply = harmonization.GradVac(target=0.6)(gram)  # [1.75, 1.75], True
    ```
    """

    def __init__(self, target=0.0):
        if not callable(target):
            check_cosine("target", target)
        self.target = target

    def harmonize(self, gram, step):
        target = cosine_at(self.target, step)
        target = ops.clip(target, -_LARGEST_TARGET, _LARGEST_TARGET)

        def raise_cosine(product, norm):
            cosine = ops.clip(ops.divide_no_nan(product, norm), -1.0, 1.0)
            amount = norm * (target * _sine(cosine) / _sine(target) - cosine)
            return ops.where(cosine < target, amount, 0.0)

        return adjust_in_turn(gram, raise_cosine), True

    def get_config(self):
        return {"target": keras.saving.serialize_keras_object(self.target)}


def _sine(cosine):
    return ops.sqrt((1.0 - cosine) * (1.0 + cosine))
