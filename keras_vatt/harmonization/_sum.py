"""The plain sum of the gradients."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_vatt.harmonization._harmonizer import Harmonizer


@keras.saving.register_keras_serializable(package="keras_vatt")
class Sum(Harmonizer):
    """Leaves the gradients as they are: every weight is 1.

    The update is the gradient of the plain total of the losses.

    Example:
    ```python
    from keras_vatt import harmonization

    weights, apply = harmonization.Sum()([[1.0, -0.5], [-0.5, 1.0]])  # [1, 1], True
    ```
    """

    may_skip = False

    def harmonize(self, gram: Any, step: Any) -> tuple[Any, Any]:
        return ops.ones_like(gram[..., 0]), True
