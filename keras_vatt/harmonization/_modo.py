"""MoDo: weights that take one step of descent per training step."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_vatt.harmonization._gram import gradient_norms
from keras_vatt.harmonization._harmonizer import StatefulHarmonizer
from keras_vatt.harmonization._nonnegative import product
from keras_vatt.harmonization._simplex import (
    center_of_simplex,
    project_onto_simplex,
    scaled_to_mean_norm_one,
)


@keras.saving.register_keras_serializable(package="keras_vatt")
class MoDo(StatefulHarmonizer):
    """Moves the weights one step toward those of the shortest update.

    "Three-Way Trade-Off in Multi-Objective Learning: Optimization, Generalization and
    Conflict-Avoidance" (https://arxiv.org/abs/2305.20057). At every training step, the
    weights take one step of projected gradient descent on the squared norm of the
    update, from those of the mean. They sum to one and approach those of `MGDA`.

    The paper computes the matrix of inner products from the gradients of two
    independent batches ("double sampling"). This library has one batch per step, and
    its Gram matrix adds the variance of each gradient to the diagonal: the estimate is
    biased. This is our reading; the convergence proof does not hold for it. The
    gradients are divided by the mean of their norms first, so that `gamma` does not
    depend on the scale of the losses; in the paper and in TorchJD it does.

    State: `"weights"`, of shape `(K,)`. A zero gradient takes no part.

    Args:
        gamma: positive float. Learning rate of the weights. Defaults to `0.1`.
        rho: float, at least 0. L2 regularization of the weights. Defaults to `0.1`.

    Raises:
        ValueError: if an argument is out of range.

    Example:
    ```python
    from keras_vatt import harmonization

    modo = harmonization.MoDo(gamma=0.1, rho=0.0)
    weights, apply, state = modo([[1.0, 0.0], [0.0, 9.0]])  # [0.55, 0.45], True
    ```
    """

    may_skip = False

    def __init__(self, gamma: float = 0.1, rho: float = 0.1) -> None:
        if not 0 < gamma < float("inf"):
            raise ValueError(
                f"`gamma` must be finite and positive. Received: gamma={gamma}"
            )
        if not 0 <= rho < float("inf"):
            raise ValueError(
                f"`rho` must be finite and not negative. Received: rho={rho}"
            )
        self.gamma = gamma
        self.rho = rho

    def initial_state(self, num_losses: int) -> dict[str, Any]:
        return {"weights": center_of_simplex(num_losses)}

    def harmonize(self, gram: Any, step: Any, state: dict[str, Any]) -> Any:
        norms = gradient_norms(gram)
        present = norms > 0
        gram = scaled_to_mean_norm_one(gram, norms, present)
        weights = project_onto_simplex(state["weights"], present)
        slope = product(gram, weights) + self.rho * weights
        weights = project_onto_simplex(weights - self.gamma * slope, present)
        return weights, True, {"weights": ops.where(present, weights, state["weights"])}

    def get_config(self) -> dict[str, Any]:
        return {"gamma": self.gamma, "rho": self.rho}
