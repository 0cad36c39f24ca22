"""Metrics of a harmonized training run."""

import keras
from keras import ops


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

    def __init__(self, names, name="named_means", **kwargs):
        super().__init__(name=name, dtype="float32", **kwargs)
        self.names = list(names)
        self.totals = self._vector("totals")
        self.weights = self._vector("weights")

    def update_state(self, values, sample_weight=None):
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

    def result(self):
        """Dict from name to mean; NaN for the mean of nothing."""
        means = self.totals / self.weights
        return {name: means[index] for index, name in enumerate(self.names)}

    def _vector(self, name):
        return self.add_variable(
            shape=(len(self.names),),
            initializer="zeros",
            # All replicas count the same numbers, those of the whole batch.
            aggregation="only_first_replica",
            name=name,
        )


class StepMetrics(NamedMeans):
    """What `fit` logs of a `HarmonizedModel`, and the number of steps.

    - `loss`, the weighted total, and each loss under its own name;
    - `nonfinite_rate`: share of steps with a non-finite gradient;

    and with a harmonizer:

    - `gradient_cosine`: cosine between the losses' gradients (the smallest of
      all pairs, if there are more than two losses);
    - `conflict_rate`: share of steps in which that cosine is negative;
    - `skip_rate`: share of steps that were skipped for any reason, non-finite
      gradients among them;
    - `<pair>_gradient_norm`: norm of the gradient of each loss as weighted in
      the total.

    If the batch is cut into groups, cosine, rates and norms are means over the
    groups. Non-finite steps count in the two rates `nonfinite_rate` and
    `skip_rate` and are left out of all other means.

    The number of steps, `num_steps`, goes on counting over epochs.

    Args:
        loss_weights: dict from the losses' names to their weights in the total.
        harmonized: bool. Whether there is a harmonizer.
    """

    def __init__(self, loss_weights, harmonized, name="step_metrics"):
        losses = ["loss", *loss_weights]
        rates, norms = ["nonfinite_rate"], []
        if harmonized:
            rates += ["skip_rate"]
            losses += ["gradient_cosine", "conflict_rate"]
            norms = [f"{n.removesuffix('_loss')}_gradient_norm" for n in loss_weights]
        super().__init__([*losses, *norms, *rates], name=name)
        self.loss_weights = list(loss_weights.values())
        self.harmonized = harmonized
        self.num_rates = len(rates)
        self.num_steps = self.add_variable(
            shape=(),
            initializer="zeros",
            dtype="int32",
            aggregation="only_first_replica",
            name="num_steps",
        )

    def update_step(self, step):
        """Counts one training step.

        Args:
            step: dict of what the step was: `losses` (one value each),
                `nonfinite` and, with a harmonizer, `applied` (share of groups),
                `cosine`, `conflict` and `norms` (one value each).
        """
        losses = step["losses"]
        finite = ops.cast(step["nonfinite"] == 0, "float32")
        total = ops.sum(losses * ops.convert_to_tensor(self.loss_weights, "float32"))
        values, rates = [total[None], losses], [1 - finite]
        if self.harmonized:
            values += [step["cosine"][None], step["conflict"][None], step["norms"]]
            rates += [1 - step["applied"] * finite]
        values = ops.concatenate([*values, ops.stack(rates)])
        num_values = len(self.names) - self.num_rates
        always = ops.arange(len(self.names)) >= num_values
        self.update_state(values, sample_weight=ops.where(always, 1.0, finite))
        # Always one, but known only from the data: where TensorFlow finds that there
        # are no more, it may have run all that doesn't depend on them.
        one = ops.cast(step["nonfinite"] >= 0, "int32")
        self.num_steps.assign(self.num_steps + one)

    def reset_state(self):
        for variable in (self.totals, self.weights):
            variable.assign(ops.zeros(variable.shape))
