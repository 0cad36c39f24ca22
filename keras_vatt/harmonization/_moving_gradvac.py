"""Gradient Vaccine with the targets of the paper."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_vatt.harmonization._gradvac import amount_to_target
from keras_vatt.harmonization._gram import squared_norms
from keras_vatt.harmonization._harmonizer import StatefulHarmonizer
from keras_vatt.harmonization._sequential import adjust_in_turn


@keras.saving.register_keras_serializable(package="keras_vatt")
class MovingGradVac(StatefulHarmonizer):
    """Raises the cosine between two gradients to its moving average.

    Algorithm 1 of "Gradient Vaccine: Investigating and Improving Multi-task
    Optimization in Massively Multilingual Models" (https://arxiv.org/abs/2010.05874).
    It is `GradVac` with a target for each ordered pair: the moving average of the
    cosines that the pair had when it was compared, from 0. At the first step it is
    `PCGrad`.

    The paper visits the others in random order; here the order is that of `PCGrad`. It
    averages the cosines of each layer; here those of whole gradients.

    State: `"targets"`, of shape `(K, K)`. The targets of a zero gradient stay.

    Args:
        beta: float in `[0, 1]`. Weight of the newest cosine in the average. Defaults to
            `0.01`, as in the paper.

    Raises:
        ValueError: if `beta` is out of range.

    Example:
    ```python
    from keras_vatt import harmonization

    gradvac = harmonization.MovingGradVac(beta=0.5)
    _, _, state = gradvac([[1.0, 0.8], [0.8, 1.0]])
    state["targets"]  # [[0, 0.4], [0.4, 0]]
    weights, apply, state = gradvac([[1.0, 0.0], [0.0, 1.0]], 1, state)
    weights  # [1.4364, 1.4364]
    ```
    """

    may_skip = False

    def __init__(self, beta: float = 0.01) -> None:
        if not 0.0 <= beta <= 1.0:
            raise ValueError(f"`beta` must be in [0, 1]. Received: beta={beta}")
        self.beta = beta

    def initial_state(self, num_losses: int) -> dict[str, Any]:
        return {"targets": np.zeros((num_losses, num_losses), "float32")}

    def harmonize(self, gram: Any, step: Any, state: dict[str, Any]) -> Any:
        targets = state["targets"]
        present = squared_norms(gram) > 0
        both = ops.logical_and(present[:, None], present[None, :])
        changes = []

        def adjust(product, norm, other):
            cosine = ops.clip(ops.divide_no_nan(product, norm), -1.0, 1.0)
            target = ops.sum(other * targets, axis=-1)
            changes.append(other * (cosine - target)[:, None])
            return amount_to_target(norm, cosine, target)

        weights = adjust_in_turn(gram, adjust)
        new_targets = targets + self.beta * sum(changes, start=ops.zeros_like(gram))
        return weights, True, {"targets": ops.where(both, new_targets, targets)}

    def get_config(self) -> dict[str, Any]:
        return {"beta": self.beta}
