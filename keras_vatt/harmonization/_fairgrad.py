"""FairGrad: alpha-fair improvements of the losses."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_vatt.harmonization._bargaining import fair_weights
from keras_vatt.harmonization._gram import squared_norms
from keras_vatt.harmonization._harmonizer import Harmonizer


@keras.saving.register_keras_serializable(package="keras_vatt")
class FairGrad(Harmonizer):
    """Divides the improvement among the losses by alpha-fairness.

    "Fair Resource Allocation in Multi-Task Learning"
    (https://arxiv.org/abs/2402.15638). The weights are the positive solution of
    `(G w)^alpha = 1 / w`, where `G w` are the improvements of the losses by the update.
    With `alpha=0` it is `Sum`, with `alpha=1` it is `NashMTL`; the larger `alpha`,
    the more the loss counts that improves least. The update conflicts with no gradient.

    The solution of the paper, and of TorchJD, gets smaller as the gradients get larger.
    Here the weights are scaled to mean 1, which cancels the scale of the losses.

    Args:
        alpha: float, at least 0. Defaults to `2.0`.

    Raises:
        ValueError: if `alpha` is negative or not finite.

    Example:
    ```python
    from keras_vatt import harmonization

    gram = [[8.0, 0.0], [0.0, 1.0]]
    weights, apply = harmonization.FairGrad(alpha=2.0)(gram)  # [0.4, 1.6], True
    ```
    """

    may_skip = False

    def __init__(self, alpha: float = 2.0) -> None:
        if not 0 <= alpha < float("inf"):
            raise ValueError(
                f"`alpha` must be finite and not negative. Received: alpha={alpha}"
            )
        self.alpha = alpha

    def harmonize(self, gram: Any, step: Any) -> tuple[Any, Any]:
        if self.alpha == 0:
            return ops.ones_like(squared_norms(gram)), True
        return fair_weights(gram, power=1.0 / self.alpha), True

    def get_config(self) -> dict[str, Any]:
        return {"alpha": self.alpha}
