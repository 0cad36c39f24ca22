"""PCGrad: gradient surgery by sequential projection."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_vatt.harmonization._harmonizer import Harmonizer
from keras_vatt.harmonization._sequential import adjust_in_turn


@keras.saving.register_keras_serializable(package="keras_vatt")
class PCGrad(Harmonizer):
    """Projects each gradient onto the normal planes of the others, in turn.

    Algorithm 1 of "Gradient Surgery for Multi-Task Learning"
    (https://arxiv.org/abs/2001.06782). Each gradient is compared with the
    original others in turn; where the gradient so far conflicts with another, it is
    projected onto the normal plane of that one. The update is the sum of the results.

    The paper draws the order at random, which a pure function can't do. Here the
    others are sorted by their cosine with the gradient before any projection, the
    smallest first. That is one of the orders that the paper may draw, and it does not
    depend on the order of the losses. With two losses there is one order only,
    and PCGrad is `Realignment`.

    Example:
    ```python
    from keras_vatt import harmonization

    gram = [[1.0, -0.5], [-0.5, 2.0]]
    weights, apply = harmonization.PCGrad()(gram)  # [1.5, 1.25], True
    ```
    """

    may_skip = False

    def harmonize(self, gram: Any, step: Any) -> tuple[Any, Any]:
        def remove_conflict(product, norm, other):
            return ops.maximum(-product, 0.0)

        return adjust_in_turn(gram, remove_conflict), True
