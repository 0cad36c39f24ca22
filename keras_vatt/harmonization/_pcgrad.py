"""PCGrad: gradient surgery by sequential projection."""

import keras
from keras import ops

from keras_vatt.harmonization._harmonizer import Harmonizer
from keras_vatt.harmonization._sequential import adjust_in_turn


@keras.saving.register_keras_serializable(package="keras_vatt")
class PCGrad(Harmonizer):
    """Projects each gradient onto the normal planes of the others, in turn.

    Algorithm 1 of "Gradient Surgery for Multi-Task Learning"
    (https://arxiv.org/abs/2001.06782). Each gradient visits the original others;
    where the gradient so far conflicts with the one visited, it is projected onto
    its normal plane. The update is the sum of the results.

    The paper draws the order of the visits at random, which a pure function can't
    do: here each gradient visits the others from the one that it conflicts with
    most (the smallest cosine, before any projection) to the least. That is one of
    the orders that the paper may draw, and does not depend on the order of the
    losses. With two losses there is one order only, and PCGrad is `Realignment`.

    Example:
    ```python
    from keras_vatt import harmonization

    gram = [[1.0, -0.5], [-0.5, 2.0]]
    weights, apply = harmonization.PCGrad()(gram)  # [1.5, 1.25], True
    ```
    """

    def harmonize(self, gram, step):
        def remove_conflict(product, norm):
            return ops.maximum(-product, 0.0)

        return adjust_in_turn(gram, remove_conflict), True
