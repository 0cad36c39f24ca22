"""The mean of the gradients."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_vatt.harmonization._gram import squared_norms
from keras_vatt.harmonization._harmonizer import Harmonizer


@keras.saving.register_keras_serializable(package="keras_vatt")
class Mean(Harmonizer):
    """Weights every gradient by one over their number.

    The direction is that of `Sum`, at 1/K of the length: the plain baseline for the
    methods whose weights sum to one. Zero gradients are not counted.

    Example:
    ```python
    from keras_vatt import harmonization

    gram = [[1.0, -0.5], [-0.5, 1.0]]
    weights, apply = harmonization.Mean()(gram)  # [0.5, 0.5], True
    ```
    """

    may_skip = False

    def harmonize(self, gram: Any, step: Any) -> tuple[Any, Any]:
        present = ops.cast(squared_norms(gram) > 0, "float32")
        count = ops.sum(present, axis=-1, keepdims=True)
        return ops.divide_no_nan(present, count), True
