"""Cosines that change over the training: thresholds and targets."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_vatt")
class LinearThreshold(keras.optimizers.schedules.LearningRateSchedule):
    """A cosine that changes linearly from `start` to `end` and then stays constant.

    The curriculum of the paper (https://arxiv.org/abs/2211.02077, Algorithm 2) has a
    threshold that depends on the step. By default, it increases from -0.3 to 0.0 over
    a training of 500,000 steps.

    Args:
        start: float in `[-1, 1]`. Cosine at step 0. Defaults to `-0.3`.
        end: float in `[-1, 1]`. Cosine at `steps` and after. Defaults to `0.0`.
        steps: int, at least 1. Number of steps from `start` to `end`. Defaults
            to `500_000`.

    Example:
    ```python
    from keras_vatt import harmonization

    threshold = harmonization.LinearThreshold(-0.4, 0.0, steps=100)
    threshold(50)  # -0.2
    ```
    """

    def __init__(
        self, start: float = -0.3, end: float = 0.0, steps: int = 500_000
    ) -> None:
        check_cosine("start", start)
        check_cosine("end", end)
        if not 1 <= steps < float("inf"):
            raise ValueError(f"`steps` must be at least 1. Received: steps={steps}")
        self.start = start
        self.end = end
        self.steps = steps

    def __call__(self, step: Any) -> Any:
        """Returns the cosine at `step`, an int or integer tensor, in float32."""
        step = ops.clip(ops.cast(step, "float32"), 0.0, self.steps)
        progress = step / self.steps
        return self.start * (1.0 - progress) + self.end * progress

    def get_config(self) -> dict[str, Any]:
        return {"start": self.start, "end": self.end, "steps": self.steps}


def check_cosine(name: str, value):
    """Raises a `ValueError` unless `value` lies in `[-1, 1]`."""
    if not -1.0 <= value <= 1.0:
        raise ValueError(
            f"`{name}` is a cosine and must lie between -1 and 1. "
            f"Received: {name}={value}"
        )


def cosine_at(cosine, step: Any):
    """Returns a fixed cosine, or a schedule's cosine at `step`, in float32."""
    return ops.cast(cosine(step) if callable(cosine) else cosine, "float32")
