"""DualProj: the sum of the gradients, projected onto the dual cone."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_vatt.harmonization._gram import cosine_matrix, relative_norms
from keras_vatt.harmonization._harmonizer import Harmonizer
from keras_vatt.harmonization._nonnegative import minimize_nonnegative, product


@keras.saving.register_keras_serializable(package="keras_vatt")
class DualProj(Harmonizer):
    """Projects the sum of the gradients onto the dual cone.

    Equation 11 of "Gradient Episodic Memory for Continual Learning"
    (https://arxiv.org/abs/1706.08840), with all gradients as constraints. The update is
    the vector nearest to the sum whose inner product with every gradient is
    nonnegative. TorchJD projects the mean: 1/K of ours.

    Supports at most 10 losses. The solution is exact.

    Raises:
        ValueError: when called with more than 10 losses.

    Example:
    ```python
    from keras_vatt import harmonization

    gram = [[1.0, -2.0], [-2.0, 8.0]]
    weights, apply = harmonization.DualProj()(gram)  # [2, 1], True
    ```
    """

    may_skip = False

    def harmonize(self, gram: Any, step: Any) -> tuple[Any, Any]:
        norms = relative_norms(gram)
        cosines = cosine_matrix(gram)
        with_sum = product(cosines, norms)
        added = minimize_nonnegative(cosines, with_sum[..., None, :])[..., 0, :]
        return 1.0 + ops.divide_no_nan(added, norms), True
