"""Algorithm 1 of the paper: cross-modality gradient realignment."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_vatt.harmonization._gram import squared_norms
from keras_vatt.harmonization._harmonizer import Harmonizer


def realignment_weights(gram: Any):
    """Computes the weights of the sum of the mutually projected gradients.

    Args:
        gram: float32 tensor of shape `(..., K, K)`.

    Returns:
        float32 tensor of shape `(..., K)`:
        `w_j = 1 - sum_{i: G_ij < 0} G_ij / G_jj`. All are at least 1.

    Example:
    ```python
    from keras import ops
    from keras_vatt.harmonization._realignment import realignment_weights

    realignment_weights(ops.array([[1.0, -0.5], [-0.5, 2.0]]))  # [1.5, 1.25]
    ```
    """
    conflicts = ops.sum(ops.minimum(gram, 0.0), axis=-2)
    return 1.0 - ops.divide_no_nan(conflicts, squared_norms(gram))


@keras.saving.register_keras_serializable(package="keras_vatt")
class Realignment(Harmonizer):
    """Projects conflicting gradients onto the normal plane of one another.

    Algorithm 1 of "Scaling Multimodal Pre-Training via Cross-Modality Gradient
    Harmonization" (https://arxiv.org/abs/2211.02077). If the inner product of
    the two gradients is negative, each is replaced by its projection onto the
    plane normal to the original other, and the update is the sum of both.

    The paper has two losses. For more, this implementation subtracts from each
    gradient its components along all original gradients that it conflicts with.

    Example:
    ```python
    from keras_vatt import harmonization

    gram = [[1.0, -0.5], [-0.5, 2.0]]
    weights, apply = harmonization.Realignment()(gram)  # [1.5, 1.25], True
    ```
    """

    may_skip = False

    def harmonize(self, gram: Any, step: Any) -> tuple[Any, Any]:
        return realignment_weights(gram), True
