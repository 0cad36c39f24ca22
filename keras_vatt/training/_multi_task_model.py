"""A functional Keras model whose losses are harmonized."""

from __future__ import annotations

from typing import Any

import keras

from keras_vatt import harmonization
from keras_vatt._keras_internals import Functional, all_layers, set_untracked
from keras_vatt.training._batch_checks import check_batch_sizes, check_targets
from keras_vatt.training._branches import Branch, BranchLoss
from keras_vatt.training._checked_data import is_dataset
from keras_vatt.training._feature_split import split_at_features
from keras_vatt.training._harmonized_step import HarmonizedStep
from keras_vatt.training._harmonized_training import (
    HarmonizedTraining,
    check_harmonization,
)
from keras_vatt.training._kept_weights import KeepsWeights
from keras_vatt.training._output_losses import (
    MODEL_BRANCH,
    OutputLosses,
    named_outputs,
)
from keras_vatt.training._replicas import OneReplica


@keras.saving.register_keras_serializable(package="keras_vatt")
class MultiTaskModel(KeepsWeights, HarmonizedTraining, Functional):
    """A functional model with several losses, whose gradients are harmonized.

    It is used as any functional `keras.Model`: `compile` takes a loss for each output,
    `fit`, `evaluate`, `predict`, `save` and callbacks work as usual. `compile` also
    takes a harmonizer of `keras_vatt.harmonization`, which weights the gradients of the
    losses in each training step:

    1. the forward pass runs once;
    2. each loss is differentiated with respect to its output, and has one backward pass
       through the layers that it depends on: layers that losses share are visited once
       for each of them, layers of a single loss once;
    3. the harmonizer computes, from the Gram matrix of the losses' gradients, their
       weights and a flag, whether to apply or to skip the step.

    A variable that a loss does not reach has the gradient zero from that loss.
    The losses of weight and activity regularizers and of `add_loss` are one more term,
    which is added to the update and not harmonized.

    Training logs `loss`, the loss of each output and the metrics under the names of
    `keras.Model`, and with a harmonizer `gradient_cosine`, `conflict_rate`,
    `skip_rate`, `nonfinite_rate` and `<output>_gradient_norm`: see
    `keras_vatt.training.StepMetrics`. Evaluation logs what `keras.Model` logs.

    A step whose gradients hold a NaN or an infinity, and a step that the harmonizer
    skips, change no weight. The state of the harmonizer and the number of steps,
    `num_steps`, are saved with the weights.

    On several devices, each computes the outputs of its own samples. A layer that
    mixes the samples of a batch, such as `keras.layers.BatchNormalization`, would see
    the samples of one device only: such models are refused there.

    Args:
        inputs: nest of `keras.Input`s, as for `keras.Model`.
        outputs: nest of outputs, as for `keras.Model`. A dict names the tasks.
        name: string. Defaults to `None`.
        **kwargs: see `keras.Model`.

    Example:
    ```python
    import keras
    import numpy as np
    from keras_vatt.training import MultiTaskModel

    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(8, 3, activation="relu")(inputs)
    x = keras.layers.Flatten()(x)
    outputs = {
        "digit": keras.layers.Dense(10, name="digit")(x),
        "is_odd": keras.layers.Dense(1, name="is_odd")(x),
    }
    model = MultiTaskModel(inputs, outputs)
    model.compile(
        "adam",
        loss={
            "digit": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            "is_odd": keras.losses.BinaryCrossentropy(from_logits=True),
        },
        harmonizer="upgrad",
    )
    images = np.random.rand(32, 8, 8, 1)
    digits = np.random.randint(10, size=32)
    model.fit(images, {"digit": digits, "is_odd": digits % 2}, verbose=0)
    ```
    """

    def __init__(
        self, inputs: Any, outputs: Any, name: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(inputs, outputs, name=name, **kwargs)

    def compile(
        self,
        optimizer: str | keras.optimizers.Optimizer = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: str | bool = "auto",
        auto_scale_loss: bool = True,
        harmonizer: str | harmonization.Harmonizer | None = None,
        num_groups: int | str = 1,
        group_by: str = "samples",
        compare: str = "parameters",
        harmonized_variables: str = "all",
        num_micro_batches: int = 1,
    ) -> None:
        """Prepares the model for training.

        Args:
            optimizer: see `keras.Model.compile`. Defaults to `"rmsprop"`.
            loss: the losses of the outputs, as for `keras.Model.compile`: a dict from
                the outputs' names to `keras.losses.Loss`es, their names or functions
                `(y_true, y_pred) -> values`. At least two losses if there is a
                harmonizer.
            loss_weights: positive floats, what the losses are multiplied by before
                their gradients are compared, as for `keras.Model.compile`. Defaults to
                `None`, ones.
            metrics: see `keras.Model.compile`.
            weighted_metrics: see `keras.Model.compile`.
            run_eagerly: see `keras.Model.compile`.
            steps_per_execution: see `keras.Model.compile`.
            jit_compile: see `keras.Model.compile`.
            auto_scale_loss: see `keras.Model.compile`.
            harmonizer: a `keras_vatt.harmonization.Harmonizer` or its name, such as
                `"upgrad"`. `None` is the plain step on the weighted sum of the losses.
                Defaults to `None`.
            num_groups: int or `"per_clip"`, for one group per sample. Number of equal
                groups of consecutive samples, each of which is harmonized separately;
                the results are summed. With `compare="parameters"`, each group has
                backward passes of its own. It must divide the size of each batch.
                Defaults to `1`, the whole batch.
            group_by: string, `"samples"` or `"anchors"`. They differ only for losses
                that compare samples with each other; see `HarmonizedModel.compile`.
                Defaults to `"samples"`.
            compare: string. With `"parameters"`, the gradients of the trainable
                variables are compared. With `"features"`, those of the tensors that
                leave the layers that several losses share, sample by sample, at the
                cost of a plain step. Outputs must depend on the inputs through these
                tensors alone. This is our method, not the paper's. Defaults to
                `"parameters"`.
            harmonized_variables: string, the variables whose gradients are compared
                with `compare="parameters"`: `"all"`, or `"shared"`, those that all
                losses depend on. The weights apply to all variables in both cases.
                Defaults to `"all"`.
            num_micro_batches: int. Number of parts in which a device computes the
                outputs, to save memory. Defaults to `1`.

        Raises:
            ValueError: if there is no loss, weights have other names than the losses or
                are not positive, a setting has none of its values, settings contradict
                each other, the model can't be split at its features, or a subclass
                defines `compute_loss`, which is not called.
        """
        if type(self).compute_loss is not keras.Model.compute_loss:
            raise ValueError(
                "A `MultiTaskModel` differentiates each loss by itself and does not "
                f"call `compute_loss`, which `{type(self).__name__}` defines: use "
                "losses of the outputs and `add_loss` instead."
            )
        if loss is None:
            raise ValueError(
                "A `MultiTaskModel` needs a loss for its outputs: pass `loss`, such as "
                f"a dict with some of the names {self.output_names}."
            )
        _check_loss_weights(loss, loss_weights)
        settings = {
            "num_groups": num_groups,
            "group_by": group_by,
            "compare": compare,
            "harmonized_variables": harmonized_variables,
            "num_micro_batches": num_micro_batches,
        }
        super().compile(
            optimizer=optimizer,
            loss=loss,
            loss_weights=loss_weights,
            metrics=metrics,
            weighted_metrics=weighted_metrics,
            run_eagerly=run_eagerly,
            steps_per_execution=steps_per_execution,
            jit_compile=jit_compile,
            auto_scale_loss=auto_scale_loss,
        )
        self.compiled = False  # Until all arguments are known to be valid.
        self.auto_scale_loss = auto_scale_loss
        output_losses = OutputLosses(self)
        needs_terms = num_groups != 1 or compare == "features"
        losses = output_losses.branch_losses(needs_terms)
        check_harmonization(losses, harmonizer, **settings)
        split = None
        if compare == "features":
            split = split_at_features(self, [loss.outputs[0] for loss in losses])
        # Tracked, the parts would be layers of the model.
        set_untracked(self, "_split", split)
        set_untracked(self, "_output_losses", output_losses)
        set_untracked(self, "_losses_of_outputs", losses)
        self.prepare_harmonization(losses, harmonizer, **settings)
        self.compiled = True

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> keras.callbacks.History:
        """Trains the model, see `keras.Model.fit`.

        Each batch, the last one included, must be a multiple of `num_groups` and
        `num_micro_batches` of `compile`.

        Raises:
            ValueError: if a batch is not, or targets of a loss are missing.
        """
        check_targets(self.loss, y)
        if self.compiled and not kwargs.get("validation_split"):
            arrays = {str(i): value for i, value in enumerate(keras.tree.flatten(x))}
            data = x if is_dataset(x) else arrays
            check_batch_sizes(data, batch_size, self.parts_of_a_batch())
        return super().fit(x, y, batch_size, *args, **kwargs)

    def branches(self) -> dict[str, Branch]:
        """Returns the one branch of the model: a dict from its name to `Branch`."""
        if self._split is None:
            return {MODEL_BRANCH: Branch(("x",), self._encode)}
        trunk, heads = self._split

        def encode(batch, training):
            features = keras.tree.flatten(trunk(batch["x"], training=training))
            return {str(place): x for place, x in enumerate(features)}

        def embed(features, training):
            return named_outputs(heads(list(features.values()), training=training))

        return {MODEL_BRANCH: Branch(("x",), encode, embed)}

    def _encode(self, batch, training):
        return named_outputs(self(batch["x"], training=training))

    def branch_losses(self) -> list[BranchLoss]:
        """Returns the list of `BranchLoss`, in the order of the Gram matrix."""
        return self._losses_of_outputs

    def batch_of(self, data: Any) -> dict[str, Any]:
        """Returns a dict of the inputs, targets and weights of one batch."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        return {"x": x, "y": y, "sample_weight": sample_weight}

    def loss_inputs_of(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Returns the targets and the weights of a batch."""
        return {"y": batch["y"], "sample_weight": batch["sample_weight"]}

    def whole_loss_inputs(self, loss_inputs: dict[str, Any]) -> dict[str, Any]:
        """Adds the targets and weights of each loss."""
        targets = self._output_losses.targets_of(**loss_inputs)
        return {**loss_inputs, "targets": targets}

    def update(self, data: Any, replicas: OneReplica) -> dict[str, Any]:
        """Trains on one batch; see `HarmonizedModel.update`."""
        if replicas.num_replicas > 1 or self.num_micro_batches > 1:
            _check_independent_samples(self)
        return super().update(data, replicas)

    def training_logs(self, step: HarmonizedStep) -> dict[str, Any]:
        """Updates the metrics of the outputs; returns all logs of training."""
        y_pred = self._output_losses.packed(step.outputs[MODEL_BRANCH])
        y, sample_weight = step.loss_inputs["y"], step.loss_inputs["sample_weight"]
        logs = self.compute_metrics(step.batch["x"], y, y_pred, sample_weight)
        return {**logs, **self.step_metrics.result()}

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        if not self.compiled:
            return super().metrics
        return [*super().metrics, self.step_metrics, self.harmonizer_state]

    def resumed_metrics(self) -> list[keras.metrics.Metric]:
        """Returns the metrics that a `RunCheckpoint` saves and restores.

        Those of the outputs have no variables before the first batch: in the epoch that
        is resumed, they are means over the rest of it.
        """
        return [self.step_counter, self.step_metrics, self.harmonizer_state]

    @property
    def metrics_names(self) -> list[str]:
        """Names of the numbers that `train_on_batch` returns, as a list of strings."""
        names = [m.name for m in super().metrics if m is not self.step_counter]
        if not self.compiled:
            return names
        return [*names, *sorted(set(self.step_metrics.names) - set(names))]

    def get_metrics_result(self) -> dict[str, Any]:
        """Returns the logs of evaluation, those of `keras.Model`."""
        logs = {}
        for metric in super().metrics:
            if metric is not self.step_counter:
                result = metric.result()
                logs |= result if isinstance(result, dict) else {metric.name: result}
        return logs

    def get_compile_config(self) -> dict[str, Any] | None:
        config = super().get_compile_config()
        if not config:
            return config
        settings = {
            **self.harmonization_config(),
            "auto_scale_loss": self.auto_scale_loss,
        }
        return {**config, **settings}

    def compile_from_config(self, config: dict[str, Any]) -> None:
        self.compile(**keras.saving.deserialize_keras_object(config))


def _check_loss_weights(loss, loss_weights):
    # Keras would give weights with unknown names to the losses in turn.
    are_dicts = isinstance(loss, dict) and isinstance(loss_weights, dict)
    if are_dicts and set(loss) != set(loss_weights):
        raise ValueError(
            "`loss_weights` must have the names of `loss`. Received: "
            f"loss_weights={loss_weights} for the losses {list(loss)}"
        )


def _check_independent_samples(model):
    """Refuses layers that mix samples, if only a part of the batch is at hand."""
    names = [
        layer.name
        for layer in all_layers(model)
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
    ]
    if names:
        raise ValueError(
            "On several devices or in micro-batches, batch normalization would see a "
            "part of the batch only. Use another normalization, such as "
            f"`keras.layers.GroupNormalization`, or freeze these layers: {names}"
        )
