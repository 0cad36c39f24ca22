"""Metrics of a harmonized training run."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_vatt.training._cosine_histogram import NUM_BINS
from keras_vatt.training._step_result import StepResult


class NamedMeans(keras.metrics.Metric):
    """Weighted means of several scalars, updated together.

    Args:
        names: list of strings. The keys of the result.
        name: string. Name of the metric.

    Example:
    ```python
    means = NamedMeans(["a", "b"])
    means.update_state([1.0, 2.0])
    means.update_state([3.0, 4.0], sample_weight=[1.0, 0.0])
    means.result()  # {"a": 2.0, "b": 2.0}
    ```
    """

    def __init__(
        self, names: list[str], name: str = "named_means", **kwargs: Any
    ) -> None:
        super().__init__(name=name, dtype="float32", **kwargs)
        self.names = list(names)
        self.totals = self._vector("totals", len(self.names))
        self.weights = self._vector("weights", len(self.names))

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Counts one value of each scalar.

        Args:
            values: list of scalars, or a vector, in the order of the names.
            sample_weight: scalar or vector of weights; where a weight is 0 the
                value may be NaN. Defaults to `None`, all one.
        """
        values = ops.convert_to_tensor(values, "float32")
        weights = ops.ones_like(values)
        if sample_weight is not None:
            weights = weights * ops.convert_to_tensor(sample_weight, "float32")
        values = ops.where(weights > 0, values, ops.zeros_like(values))
        self.totals.assign(self.totals + values * weights)
        self.weights.assign(self.weights + weights)

    def result(self) -> Any:
        """Dict from name to mean; NaN for the mean of nothing."""
        means = self.totals / self.weights
        return {name: means[index] for index, name in enumerate(self.names)}

    def weighted_sum(self, factors: dict[str, float]) -> Any:
        """Weighted sum of the means that have a value; NaN if none of them has.

        Args:
            factors: dict from some of the names to floats, what their means are
                multiplied by.

        Returns:
            float32 scalar.
        """
        indices = [self.names.index(name) for name in factors]
        totals, weights = (
            ops.take(vector, indices) for vector in (self.totals, self.weights)
        )
        known = weights > 0
        factors = ops.convert_to_tensor(list(factors.values()), "float32")
        terms = totals / ops.where(known, weights, 1.0) * factors
        total = ops.sum(ops.where(known, terms, 0.0))
        return ops.where(ops.any(known), total, float("nan"))

    def _vector(self, name, size):
        return self.add_variable(
            shape=(size,),
            initializer="zeros",
            # All replicas count the same numbers, those of the whole batch.
            aggregation="only_first_replica",
            name=name,
        )


class StepMetrics(NamedMeans):
    """The metrics that `fit` logs of a `HarmonizedModel`.

    - each loss under its own name, as the mean over the valid samples of all steps:
      a batch without a valid sample of a loss does not count towards it;
    - `loss`, the weighted total of these means, plus the mean of the losses of
      regularizers and of `add_loss`, weighted by the sizes of the batches;
    - `nonfinite_rate`: fraction of steps with a non-finite gradient;

    and with a harmonizer:

    - `gradient_cosine`: cosine between the losses' gradients (the smallest of
      all pairs, if there are more than two losses), as the mean over the steps in
      which two losses have a gradient;
    - `conflict_rate`: fraction of steps in which that cosine is negative;
    - `skip_rate`: fraction of steps that were skipped for any reason, non-finite
      gradients among them;
    - `<pair>_gradient_norm`: norm of the gradient of each loss as weighted in
      the total, as the mean over the steps with a valid sample of that loss.

    If the batch is cut into groups, down to single clips, cosine, rates and norms are
    means over the groups, so that the rates are fractions of the clips. With
    `compare="features"`, cosine and norms are those of the features' gradients, and
    `skip_rate` counts clips that have a loss. Non-finite steps count in
    `nonfinite_rate` and `skip_rate` and are left out of all other means.

    Args:
        loss_weights: dict from the losses' names to their weights in the total.
        harmonized: bool. Whether there is a harmonizer.

    Attributes:
        cosine_counts: float32 `keras.Variable` of shape `(40,)`, the number of
            groups by the cosine of their gradients, in bins of equal width over
            `[-1, 1]`; `None` without a harmonizer.
    """

    def __init__(
        self,
        loss_weights: dict[str, float],
        harmonized: bool,
        name: str = "step_metrics",
    ) -> None:
        names = [*loss_weights, "nonfinite_rate"]
        if harmonized:
            norms = [f"{n.removesuffix('_loss')}_gradient_norm" for n in loss_weights]
            names += ["skip_rate", "conflict_rate", "gradient_cosine", *norms]
        super().__init__(names, name=name)
        self.loss_weights = dict(loss_weights)
        self.added_loss = self._vector("added_loss", 2)  # Sum and number of samples.
        self.harmonized = harmonized
        self.cosine_counts = (
            self._vector("cosine_counts", NUM_BINS) if harmonized else None
        )

    def update_step(self, step: StepResult) -> None:
        """Counts one training step.

        Args:
            step: `keras_vatt.training._step_result.StepResult`.
        """
        finite = ops.cast(step.nonfinite == 0, "float32")
        num_valid = step.num_valid
        values = [step.losses, [1 - finite]]
        weights = [finite * num_valid, [1.0]]
        if self.harmonized:
            comparison = step.comparison
            comparable = comparison.comparable
            # The mean over all groups, in which those without a cosine count as 0.
            cosine = comparison.cosine / ops.where(comparable > 0, comparable, 1.0)
            values += [[1 - step.applied * finite, comparison.conflict, cosine]]
            values += [comparison.norms]
            weights += [[1.0, finite, finite * comparable]]
            weights += [finite * ops.cast(num_valid > 0, "float32")]
            counts = ops.where(finite > 0, comparison.histogram, 0.0)
            self.cosine_counts.assign(self.cosine_counts + counts)
        self.update_state(_joined(values), sample_weight=_joined(weights))
        count = ops.cast(step.num_samples, "float32")
        added = ops.stack([step.added_loss * count, count])
        self.added_loss.assign(self.added_loss + ops.where(finite > 0, added, 0.0))

    def result(self) -> Any:
        """Dict from name to mean, `"loss"` first; NaN for the mean of nothing."""
        total, count = self.added_loss[0], self.added_loss[1]
        added = total / ops.maximum(count, 1.0)
        loss = self.weighted_sum(self.loss_weights) + added
        return {"loss": loss, **super().result()}


@keras.saving.register_keras_serializable(package="keras_vatt")
class StepCounter(keras.metrics.Metric):
    """The number of training steps that a model has taken, skipped ones included.

    It keeps counting over epochs: `reset_state` changes nothing.

    Attributes:
        num_steps: int32 `keras.Variable`.
    """

    def __init__(self, name: str = "step_counter", **kwargs: Any) -> None:
        super().__init__(name=name, dtype="float32", **kwargs)
        self.num_steps = self.add_variable(
            shape=(),
            initializer="zeros",
            dtype="int32",
            aggregation="only_first_replica",
            name="num_steps",
        )

    def update_step(self, step: StepResult) -> None:
        """Counts one training step; see `StepMetrics.update_step`."""
        # Always one, but known only from the data: where TensorFlow finds that there
        # are no more, it may have run all that doesn't depend on them.
        one = ops.cast(step.nonfinite >= 0, "int32")
        self.num_steps.assign(self.num_steps + one)

    def result(self) -> Any:
        """The number of steps, an int32 scalar."""
        return ops.convert_to_tensor(self.num_steps)

    def reset_state(self) -> None:
        """Changes nothing."""


def _joined(parts):
    """One vector from vectors and lists of scalars."""
    return ops.concatenate(
        [ops.stack(part) if isinstance(part, list) else part for part in parts]
    )
