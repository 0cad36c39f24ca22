"""SDMGrad: weights of a short update near the mean, by descent over the steps."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_vatt.harmonization._gram import gradient_norms
from keras_vatt.harmonization._harmonizer import StatefulHarmonizer
from keras_vatt.harmonization._moving_average import check_decay
from keras_vatt.harmonization._nonnegative import product
from keras_vatt.harmonization._simplex import (
    center_of_simplex,
    project_onto_simplex,
    scaled_to_mean_norm_one,
)


@keras.saving.register_keras_serializable(package="keras_vatt")
class SDMGrad(StatefulHarmonizer):
    """Moves the weights toward the shortest update near the mean of the gradients.

    "Direction-oriented Multi-objective Learning: Simple and Provable Stochastic
    Algorithms" (https://arxiv.org/abs/2305.18409). The weights are `(w + lambda_ m) /
    (1 + lambda_)`: `m` are those of the mean, and `w`, on the simplex, takes
    `num_iterations` steps of projected gradient descent at every training step, toward
    the shortest such update. They sum to one.

    The paper computes the matrix of inner products from the gradients of two
    independent batches. This library has one batch per step, and its Gram matrix adds
    the variance of each gradient to the diagonal: the estimate is biased, as that of
    the other methods here. This is our reading; the convergence proof does not hold for
    it. As in the code of the paper, the gradients are divided by the mean of their
    norms.

    State: `"weights"`, of shape `(K,)`: `w`. A zero gradient takes no part.

    Args:
        lambda_: float, at least 0. How strongly the mean attracts. Defaults to `0.3`.
        learning_rate: positive float. Of the inner descent. With the 10 of the paper's
            code, the weights jump between the corners of the simplex and depend on
            rounding errors. Defaults to `0.1`.
        momentum: float in `[0, 1)`. Of the inner descent. Defaults to `0.5`.
        num_iterations: int, at least 1. Defaults to `20`.

    Raises:
        ValueError: if an argument is out of range.

    Example:
    ```python
    from keras_vatt import harmonization

    sdmgrad = harmonization.SDMGrad(lambda_=1.0)
    weights, apply, state = sdmgrad([[1.0, 0.0], [0.0, 9.0]])  # [0.75, 0.25], True
    ```
    """

    may_skip = False

    def __init__(
        self,
        lambda_: float = 0.3,
        learning_rate: float = 0.1,
        momentum: float = 0.5,
        num_iterations: int = 20,
    ) -> None:
        if not 0 <= lambda_ < float("inf"):
            raise ValueError(
                "`lambda_` must be finite and not negative. "
                f"Received: lambda_={lambda_}"
            )
        if not 0 < learning_rate < float("inf"):
            raise ValueError(
                "`learning_rate` must be finite and positive. "
                f"Received: learning_rate={learning_rate}"
            )
        check_decay("momentum", momentum)
        if num_iterations < 1:
            raise ValueError(
                "`num_iterations` must be at least 1. "
                f"Received: num_iterations={num_iterations}"
            )
        self.lambda_ = lambda_
        self.learning_rate = learning_rate
        self.momentum = momentum
        self.num_iterations = num_iterations

    def initial_state(self, num_losses: int) -> dict[str, Any]:
        return {"weights": center_of_simplex(num_losses)}

    def harmonize(self, gram: Any, step: Any, state: dict[str, Any]) -> Any:
        norms = gradient_norms(gram)
        present = norms > 0
        gram = scaled_to_mean_norm_one(gram, norms, present)
        count = ops.sum(ops.cast(present, "float32"))
        mean = ops.divide_no_nan(ops.cast(present, "float32"), count)

        weights = project_onto_simplex(state["weights"], present)
        rates = self.learning_rate, self.momentum
        rates = [ops.convert_to_tensor(rate, "float32") for rate in rates]
        start = (
            weights,
            ops.zeros_like(weights),
            gram,
            self.lambda_ * mean,
            present,
            *rates,
        )
        weights, *_ = ops.fori_loop(0, self.num_iterations, _descend, start)
        mixed = (weights + self.lambda_ * mean) / (1.0 + self.lambda_)
        kept = ops.where(present, weights, state["weights"])
        return mixed, True, {"weights": kept}

    def get_config(self) -> dict[str, Any]:
        return {
            "lambda_": self.lambda_,
            "learning_rate": self.learning_rate,
            "momentum": self.momentum,
            "num_iterations": self.num_iterations,
        }


def _descend(_, state):
    # The constants are in the state because JAX, when run eagerly, compiles a loop once
    # for each function of its body.
    weights, velocity, gram, attraction, present, learning_rate, momentum = state
    velocity = momentum * velocity + product(gram, weights + attraction)
    weights = project_onto_simplex(weights - learning_rate * velocity, present)
    return weights, velocity, gram, attraction, present, learning_rate, momentum
