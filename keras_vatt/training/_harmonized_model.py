"""A Keras model whose training step harmonizes the gradients of its losses."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_vatt import harmonization
from keras_vatt._keras_internals import BuiltBeforeFit, set_untracked
from keras_vatt.training._added_losses import regularization_loss
from keras_vatt.training._batch_checks import checked_batch, refuse_targets
from keras_vatt.training._batch_loops import BatchLoops
from keras_vatt.training._branches import Branch, BranchLoss
from keras_vatt.training._definition_checks import checked_definition
from keras_vatt.training._frozen_layers import freeze_layers, frozen_layers
from keras_vatt.training._function_checks import checked_branches, checked_losses
from keras_vatt.training._harmonized_step import valid_samples
from keras_vatt.training._harmonized_training import (
    HarmonizedTraining,
    _backend,
    check_harmonization,
)
from keras_vatt.training._metrics import NamedMeans
from keras_vatt.training._replicas import OneReplica


class HarmonizedModel(BatchLoops, HarmonizedTraining, BuiltBeforeFit, keras.Model):
    """Base class of models with several losses on a few branches.

    A subclass defines the branches of its forward pass in `branches`, and the losses on
    their outputs in `branch_losses`. `compile` takes a harmonizer. Each step of `fit`:

    1. each branch runs forward once;
    2. each loss is differentiated with respect to the outputs of its branches;
    3. the VJP of each branch is computed once for each loss that depends on it;
    4. the harmonizer computes, from the Gram matrix of the losses' gradients, their
       weights and a flag, whether to apply or to skip the step.

    With `harmonizer=None` each branch has one backward pass, with the sum of the
    losses' cotangents: the plain step on the total loss.

    On several devices, each encodes its own samples. An all-gather of the features
    lets losses and batch norm see the whole batch, and the harmonizer gets the Gram
    matrix of the whole batch's gradients: the step is the same on any number of
    devices. See the guide "Pre-train on a TPU pod".

    A step that the harmonizer skips changes no weight, no optimizer slot and no
    iteration count; batch-norm statistics and seeds still advance. A step whose
    gradients hold a NaN or an infinity leaves batch-norm statistics unchanged, too.
    (Under `keras.optimizers.LossScaleOptimizer` it lowers the loss scale.)

    `compile(compare="features")` compares the gradients of the branches' features
    instead of steps 3 and 4: sample by sample, at the cost of a plain step.

    Thresholds and other schedules of a harmonizer read `num_steps`, the number of
    steps taken so far, skipped ones included. It is saved with the weights, and
    `compile` does not change it; `model.num_steps.assign(0)` restarts a schedule.

    The losses of regularizers and of `add_loss` are one more term, which is added to
    the update and not harmonized. On several devices, a loss that `encode` adds is the
    mean over the devices. Evaluation adds those of the weight regularizers.

    There are no targets: the losses compare the branches with each other. The logged
    metrics are listed in `keras_vatt.training.StepMetrics`.
    """

    # Entries of the batch that the losses read, such as masks.
    loss_inputs = ()

    def compile(
        self,
        optimizer: str | keras.optimizers.Optimizer = "adam",
        harmonizer: str | harmonization.Harmonizer | None = None,
        num_groups: int | str = 1,
        group_by: str = "samples",
        compare: str = "parameters",
        harmonized_variables: str = "all",
        num_micro_batches: int = 1,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: str | bool = "auto",
        auto_scale_loss: bool = True,
    ) -> None:
        """Prepares the model for training.

        Args:
            optimizer: a Keras optimizer or its name. Defaults to `"adam"`.
            harmonizer: a `keras_vatt.harmonization.Harmonizer` or its name, such
                as `"curriculum+realign"`. `None` is the plain step on the total
                loss. Defaults to `None`.
            num_groups: int or `"per_clip"`. Number of equal groups of consecutive
                samples in a batch. Each group is harmonized separately, and the
                results are summed. `1` compares the gradients of the whole batch;
                `"per_clip"` those of each sample. The result does not depend on the
                number of devices. With `compare="parameters"`, each group takes
                backward passes of its own; if `num_groups` is a multiple of the number
                of devices, the communication is that of the plain step. Defaults to
                `1`.
            group_by: string, the definition of a group's gradient. In both cases
                negatives come from the whole batch, and the gradients of all groups
                add up to that of the whole batch. With `"samples"`, it is the part
                of the gradient that flows through the group's own samples: the
                gradient on a device with just these samples. (For `embed`, which sees
                all samples at once, it is the gradient of the group's own loss
                terms.) Samples of a skipped group leave all losses, as anchors and as
                negatives, see `mask_samples`; this takes one more backward pass.
                With `"anchors"`, it is the gradient of the group's own loss
                terms, through all samples: each group takes backward passes through
                the whole batch, and the communication of a whole step. Samples of a
                skipped group are still negatives of the other groups. Defaults to
                `"samples"`.
            compare: string, the gradients that the harmonizer compares. With
                `"parameters"`, those of the trainable variables, as in the paper. With
                `"features"`, those of the features that `encode` returns, of the
                branches that at least two losses depend on (for VATT, of the video
                features). Each branch then has one backward pass with any
                `num_groups`, as in the plain step, and the communication is that of
                the plain step. The rows of the features' gradients are weighted sample
                by sample, and so are the loss terms for the gradient of `embed`. A
                sample with fewer than two losses has the weight 1 and is never
                skipped; samples of a skipped group leave all losses, see
                `mask_samples`. The step is skipped if no sample is left. This is our
                method, not the paper's. Defaults to `"parameters"`.
            harmonized_variables: string, the variables whose gradients are compared
                with `compare="parameters"`: `"all"`, or `"shared"`, those that all
                losses depend on. A variable that only one loss reaches adds to the norm
                of a gradient but not to the inner products, so that it moves all
                cosines towards 0. The weights apply to all variables in both cases.
                Defaults to `"all"`.
            num_micro_batches: int. Number of parts in which a device encodes its
                samples, to save memory. The result is that of the whole batch, at the
                cost of one more forward pass. Defaults to `1`.
            run_eagerly: see `keras.Model.compile`.
            steps_per_execution: see `keras.Model.compile`.
            jit_compile: see `keras.Model.compile`.
            auto_scale_loss: see `keras.Model.compile`.

        Raises:
            TypeError: if `branches`, `branch_losses` or `loss_inputs` has a wrong type.
            ValueError: if names of branches and losses do not fit together, a layer is
                not built, an argument has none of its values, `num_groups` or
                `num_micro_batches` is below 1, arguments contradict each other, or the
                backend can't train on the devices that are set.
        """
        settings = {
            "num_groups": num_groups,
            "group_by": group_by,
            "compare": compare,
            "harmonized_variables": harmonized_variables,
            "num_micro_batches": num_micro_batches,
        }
        losses = checked_definition(self)
        check_harmonization(losses, harmonizer, **settings)
        self.auto_scale_loss = auto_scale_loss
        super().compile(
            optimizer=optimizer,
            run_eagerly=run_eagerly,
            steps_per_execution=steps_per_execution,
            jit_compile=jit_compile,
            auto_scale_loss=auto_scale_loss,
        )
        self.prepare_harmonization(losses, harmonizer, **settings)
        validation_metrics = NamedMeans([loss.name for loss in losses])
        set_untracked(self, "validation_metrics", validation_metrics)
        self.built = True  # As all layers are.

    def batch_of(self, data: Any) -> dict[str, Any]:
        """Returns the batch in an element of a dataset; refuses targets and weights."""
        batch, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        refuse_targets(y, sample_weight)
        return checked_batch(batch)

    def branches_for(self, batch: Any, losses: list[BranchLoss]) -> dict[str, Branch]:
        return checked_branches(self.used_branches(losses), losses, batch)

    def losses_for(self, batch: Any, num_samples: Any) -> list[BranchLoss]:
        losses = self.branch_losses()
        return checked_losses(losses, self.loss_inputs, batch, num_samples)

    def test_step(self, *args: Any) -> Any:
        """Evaluates one batch, as called by the backend's Keras trainer."""
        return _backend.test_step(self, *args)

    def validate(self, data: Any, replicas: OneReplica) -> dict[str, Any]:
        """Adds the losses of one batch, without training, to the validation metrics.

        Args:
            data: dict of tensors, the batch, or this replica's slice of it.
            replicas: `OneReplica` or another kind.

        Returns:
            Dict of logs, the metrics so far: `loss` and each loss by name.
        """
        batch = self.batch_of(data)
        num_samples = replicas.count_samples(batch)
        losses = self.losses_for(batch, num_samples)
        outputs = {
            name: branch.outputs(
                replicas.gather_rows(branch.encode(batch, training=False)),
                training=False,
            )
            for name, branch in self.branches_for(batch, losses).items()
        }
        shared = replicas.gather_rows(self.loss_inputs_of(batch))
        terms = [loss.per_sample(outputs, shared) for loss in losses]
        is_valid = valid_samples(losses, shared, num_samples)
        self.validation_metrics.update_state(
            ops.stack([ops.mean(term) for term in terms]),
            sample_weight=ops.sum(is_valid, axis=0),
        )
        total = self.validation_metrics.weighted_sum(
            {loss.name: loss.weight for loss in losses}
        )
        total = total + regularization_loss(self.trained_variables)
        return {"loss": total, **self.validation_metrics.result()}

    def loss_inputs_of(self, batch: Any) -> dict[str, Any]:
        """Returns the entries of a batch that the losses read, a dict of tensors."""
        return {
            name: ops.convert_to_tensor(batch[name])
            for name in self.loss_inputs
            if batch.get(name) is not None
        }

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        if not self.compiled:
            return []
        own = [self.validation_metrics, self.step_metrics, self.step_counter]
        return [*own, self.harmonizer_state]

    def get_metrics_result(self) -> dict[str, Any]:
        """Returns the logs of training; `test_step` returns its own."""
        return self.step_metrics.result()

    def get_compile_config(self) -> dict[str, Any] | None:
        if not self.compiled:
            return None
        return {
            "optimizer": keras.saving.serialize_keras_object(self.optimizer),
            **self.harmonization_config(),
            "run_eagerly": self.run_eagerly,
            "steps_per_execution": self.steps_per_execution,
            "jit_compile": self.jit_compile,
            "auto_scale_loss": self.auto_scale_loss,
            "frozen_layers": frozen_layers(self),
        }

    def compile_from_config(self, config: dict[str, Any]) -> None:
        config = dict(config)
        freeze_layers(self, config.pop("frozen_layers", ()))
        self.compile(**keras.saving.deserialize_keras_object(config))
