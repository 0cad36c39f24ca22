"""ConFIG: an update with the same angle to every gradient."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_vatt.harmonization._gram import cosine_matrix, relative_norms
from keras_vatt.harmonization._harmonizer import Harmonizer
from keras_vatt.harmonization._imtlg import least_squares
from keras_vatt.harmonization._nonnegative import RESOLUTION, product


@keras.saving.register_keras_serializable(package="keras_vatt")
class ConFIG(Harmonizer):
    """Computes the update with the same angle to every gradient.

    "ConFIG: Towards Conflict-free Training of Physics Informed Neural Networks"
    (https://arxiv.org/abs/2408.11104). The direction is that of `IMTLG`. The length is
    the sum of the projections of the gradients onto it, so that the update gets shorter
    the more the gradients conflict. For independent gradients it conflicts with none;
    with three or more losses a weight can be negative.

    Where no direction has the same angle to all gradients, it has the closest one to
    that. If the gradients cancel, the update is zero.

    Example:
    ```python
    from keras_vatt import harmonization

    gram = [[9.0, 0.0], [0.0, 1.0]]
    weights, apply = harmonization.ConFIG()(gram)  # [0.6667, 2], True
    ```
    """

    may_skip = False

    def harmonize(self, gram: Any, step: Any) -> tuple[Any, Any]:
        norms = relative_norms(gram)
        cosines = cosine_matrix(gram)
        # In coordinates of the unit gradients.
        direction = least_squares(cosines, ops.sign(norms))
        products = product(cosines, direction)
        squared_length = ops.sum(direction * products, axis=-1, keepdims=True)
        length = ops.sum(norms * products, axis=-1, keepdims=True)
        resolved = squared_length > RESOLUTION
        factor = ops.where(resolved, ops.divide_no_nan(length, squared_length), 0.0)
        return ops.divide_no_nan(factor * direction, norms), True
