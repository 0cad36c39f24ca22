"""Fixed weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_vatt.harmonization._harmonizer import Harmonizer


@keras.saving.register_keras_serializable(package="keras_vatt")
class Constant(Harmonizer):
    """Weights the gradients by fixed numbers.

    Args:
        weights: list of K finite floats, in the order of the losses.

    Raises:
        ValueError: on construction, if `weights` is empty or holds a number that is not
            finite; when called, if the number of losses is not K.

    Example:
    ```python
    from keras_vatt import harmonization

    gram = [[1.0, -0.5], [-0.5, 1.0]]
    weights, apply = harmonization.Constant([2.0, 0.5])(gram)  # [2, 0.5], True
    ```
    """

    may_skip = False

    def __init__(self, weights: Sequence[float]) -> None:
        weights = np.asarray(weights, "float64")
        if weights.ndim != 1 or not weights.size or not np.isfinite(weights).all():
            raise ValueError(
                "`weights` must be a non-empty list of finite floats. "
                f"Received: weights={weights.tolist()}"
            )
        self.weights = weights.tolist()

    def harmonize(self, gram: Any, step: Any) -> tuple[Any, Any]:
        if gram.shape[-1] != len(self.weights):
            raise ValueError(
                f"`Constant` has {len(self.weights)} weights. "
                f"Received: the Gram matrix of {gram.shape[-1]} losses"
            )
        weights = ops.convert_to_tensor(self.weights, "float32")
        return ops.ones_like(gram[..., 0]) * weights, True

    def get_config(self) -> dict[str, Any]:
        return {"weights": self.weights}
