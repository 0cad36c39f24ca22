"""Algorithm 2 of the paper: gradient-based curriculum learning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_vatt.harmonization._gram import smallest_cosine
from keras_vatt.harmonization._harmonizer import Harmonizer
from keras_vatt.harmonization._thresholds import (
    LinearThreshold,
    check_cosine,
    cosine_at,
)


@keras.saving.register_keras_serializable(package="keras_vatt")
class Curriculum(Harmonizer):
    """Skips the steps whose gradients conflict by more than a threshold.

    Algorithm 2 of "Scaling Multimodal Pre-Training via Cross-Modality Gradient
    Harmonization" (https://arxiv.org/abs/2211.02077). The step is applied only
    where the cosine of the two gradients is greater than the threshold; the
    weights are ones.

    The paper has two losses. For more, this implementation compares the
    smallest cosine over all pairs of non-zero gradients. Where there is no such
    pair (with two losses: where one gradient is zero), the cosine is taken as 0,
    so that a threshold below 0 applies the step and a threshold of 0 skips it.

    Args:
        threshold: float in `[-1, 1]`, or a callable `step -> cosine` such as a
            `keras.optimizers.schedules.LearningRateSchedule`. Defaults to
            `LinearThreshold()`.

    Raises:
        ValueError: on construction, if `threshold` is a float outside of `[-1, 1]`;
            when called, if there are fewer than two losses.

    Example:
    ```python
    from keras_vatt import harmonization

    curriculum = harmonization.Curriculum(harmonization.LinearThreshold(-0.3, 0.0, 100))
    gram = [[1.0, -0.2], [-0.2, 1.0]]
    weights, apply = curriculum(gram, step=0)  # [1, 1], True
    weights, apply = curriculum(gram, step=100)  # [1, 1], False
    ```
    """

    def __init__(self, threshold: float | Callable[[Any], Any] | None = None) -> None:
        if threshold is None:
            threshold = LinearThreshold()
        if not callable(threshold):
            check_cosine("threshold", threshold)
        self.threshold = threshold

    def harmonize(self, gram: Any, step: Any) -> tuple[Any, Any]:
        if gram.shape[-1] < 2:
            raise ValueError(
                "`Curriculum` compares the gradients of at least two losses. "
                "Received the Gram matrix of one."
            )
        apply = smallest_cosine(gram) > cosine_at(self.threshold, step)
        return ops.ones_like(gram[..., 0]), apply

    def get_config(self) -> dict[str, Any]:
        return {"threshold": keras.saving.serialize_keras_object(self.threshold)}
