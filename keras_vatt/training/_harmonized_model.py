"""A Keras model whose training step harmonizes the gradients of its losses."""

from __future__ import annotations

import dataclasses
import importlib
import math
import numbers
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_vatt import harmonization
from keras_vatt._choices import check_choice
from keras_vatt._keras_internals import BuiltBeforeFit, set_untracked
from keras_vatt.training._batch_checks import refuse_targets
from keras_vatt.training._batch_loops import BatchLoops
from keras_vatt.training._frozen_layers import freeze_layers, frozen_layers
from keras_vatt.training._harmonized_step import HarmonizedStep, valid_samples
from keras_vatt.training._metrics import NamedMeans, StepCounter, StepMetrics
from keras_vatt.training._replicas import OneReplica
from keras_vatt.training.backends.protocol import Backend

_backend: Backend = importlib.import_module(
    f"keras_vatt.training.backends.{keras.config.backend()}"
)


@dataclasses.dataclass(frozen=True)
class Branch:
    """A part of the forward pass of a `HarmonizedModel`, usually one modality.

    Attributes:
        inputs: tuple of strings, the entries of the batch that it reads.
        encode: function `(batch, training) -> features`, from a dict of these entries
            to a nest of tensors whose first axis has the same number of rows for each
            sample. It must treat samples independently: it runs on the samples of one
            replica or micro-batch.
        embed: function `(features, training) -> outputs`, nests of tensors. It runs
            on the whole batch, as batch norm requires. All replicas repeat it: keep it
            small.
    """

    inputs: tuple[str, ...]
    encode: Callable
    embed: Callable

    def __call__(self, batch: Any, training: bool | None = True) -> Any:
        """Computes the branch's outputs for a whole batch, on one device."""
        return self.embed(self.encode(batch, training=training), training=training)


@dataclasses.dataclass(frozen=True)
class BranchLoss:
    """One of the losses of a `HarmonizedModel`.

    Attributes:
        name: string, the name under which it is logged.
        branches: tuple of strings, the branches that it depends on. The other branches
            get no gradient from it.
        weight: float, its factor in the total loss.
        per_sample: function `(outputs, batch) -> (batch_size,)` float32 tensor,
            the loss of each sample, whose mean is the loss; `outputs` is a dict
            with the outputs of `branches`, `batch` one with the model's
            `loss_inputs`.
        is_valid: function `batch -> (batch_size,)` float32 tensor, 1 for a sample that
            has this loss and 0 for one that lacks a modality. Logs hold the mean over
            the valid samples of all batches. Defaults to `None`, all samples are
            valid.
    """

    name: str
    branches: tuple[str, ...]
    weight: float
    per_sample: Callable
    is_valid: Callable | None = None


class HarmonizedModel(BatchLoops, BuiltBeforeFit, keras.Model):
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

    There are no targets: the losses compare the branches with each other. The logged
    metrics are listed in `keras_vatt.training.StepMetrics`.
    """

    # Entries of the batch that the losses read, such as masks.
    loss_inputs = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.step_counter = StepCounter()
        self.num_groups = self.num_micro_batches = 1

    @property
    def num_steps(self) -> keras.Variable:
        """int32 `keras.Variable`, the number of training steps taken so far."""
        return self.step_counter.num_steps

    def branches(self) -> dict[str, Branch]:
        """Returns a dict from branch name to `Branch`."""
        raise NotImplementedError

    def branch_losses(self) -> list[BranchLoss]:
        """Returns the list of `BranchLoss`, in the order of the Gram matrix."""
        raise NotImplementedError

    def mask_samples(self, loss_inputs: dict[str, Any], kept: Any) -> dict[str, Any]:
        """Leaves samples out of all losses, as anchors and as negatives.

        The terms of these samples never count. A subclass whose losses contrast
        samples with each other overrides this method so that they are no negatives
        either, usually by its masks. By default, nothing changes.

        Args:
            loss_inputs: dict of tensors, the second argument of
                `BranchLoss.per_sample`, for the whole batch.
            kept: bool tensor of shape `(batch_size,)`, false for samples to leave out.

        Returns:
            Dict like `loss_inputs`, with masks even if the batch has none.
        """
        return loss_inputs

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
            ValueError: if an argument has none of its values, `num_groups` or
                `num_micro_batches` is below 1, arguments contradict each other, or the
                backend can't train on the devices that are set.
        """
        _backend.check_devices()
        losses = self.branch_losses()
        _check_losses(losses)
        _check_comparison(
            harmonizer, num_groups, group_by, compare, harmonized_variables
        )
        if num_micro_batches < 1:
            raise ValueError(
                "`num_micro_batches` must be at least 1. "
                f"Received: num_micro_batches={num_micro_batches}"
            )
        if harmonizer is not None and len(losses) < 2:
            raise ValueError(
                "A harmonizer needs at least two losses. Received: "
                f"losses={[loss.name for loss in losses]}"
            )
        self.auto_scale_loss = auto_scale_loss
        super().compile(
            optimizer=optimizer,
            run_eagerly=run_eagerly,
            steps_per_execution=steps_per_execution,
            jit_compile=jit_compile,
            auto_scale_loss=auto_scale_loss,
        )
        if not self.optimizer.built:
            # `compile` fixes the set of trained variables, as in all of Keras; a step
            # that built the optimizer would be traced twice.
            self.optimizer.build(self.trainable_variables)
        # To collect them from all layers takes as long as a layer on PyTorch.
        set_untracked(self, "trained_variables", self.trainable_variables)
        self.harmonizer = None if harmonizer is None else harmonization.get(harmonizer)
        self.num_groups = num_groups
        self.group_by = group_by
        self.compare = compare
        self.harmonized_variables = harmonized_variables
        self.num_micro_batches = num_micro_batches
        step_metrics = StepMetrics(
            {loss.name: loss.weight for loss in losses},
            harmonized=harmonizer is not None,
        )
        validation_metrics = NamedMeans([loss.name for loss in losses])
        # Tracked, the metrics of an earlier `compile` would stay; `metrics` lists them.
        set_untracked(self, "step_metrics", step_metrics)
        set_untracked(self, "validation_metrics", validation_metrics)

    def train_step(self, *args: Any) -> Any:
        """Trains on one batch, as called by the backend's Keras trainer."""
        return _backend.train_step(self, *args)

    def update(self, data: Any, replicas: OneReplica) -> dict[str, Any]:
        """Trains on one batch; assigns the model's variables.

        Args:
            data: dict of tensors, the batch, or this replica's slice of it.
            replicas: `OneReplica` or another kind.

        Returns:
            Dict of logs, the metrics so far.
        """
        if not self.trained_variables:
            raise ValueError(
                "This model has no trainable variables: all layers are frozen."
            )
        step = HarmonizedStep(_backend, self, replicas, _batch_of(data)).take()
        finite = ops.equal(step.nonfinite, 0)
        self._assign_updates(step.updates, finite)
        self._apply(step, finite, replicas)
        self.step_metrics.update_step(step)
        self.step_counter.update_step(step)
        return self.get_metrics_result()

    def _assign_updates(self, updates, finite):
        """Assigns seeds, and statistics if step and statistics are finite."""
        statistics = [value for variable, value in updates if "float" in variable.dtype]
        for value in statistics:
            finite = ops.logical_and(finite, ops.all(ops.isfinite(value)))
        for variable, value in updates:
            if "float" in variable.dtype:
                value = ops.where(finite, value, variable.value)
            variable.assign(value)

    def _apply(self, step, finite, replicas):
        apply = ops.logical_and(finite, step.applied > 0)
        gradients = step.gradients
        if isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer):
            # The optimizer must see the overflow to lower its scale; it skips the step
            # itself. The Gram matrix may overflow where no gradient does.
            poison = ops.where(finite, 1.0, float("nan"))
            gradients = [g * ops.cast(poison, g.dtype) for g in gradients]
            apply = ops.logical_or(apply, ops.logical_not(finite))
        _backend.apply_gradients(self, gradients, apply, replicas)

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
        batch = _batch_of(data)
        losses = self.branch_losses()
        outputs = {
            name: branch.embed(
                replicas.gather_rows(branch.encode(batch, training=False)),
                training=False,
            )
            for name, branch in self.used_branches(losses).items()
        }
        shared = replicas.gather_rows(self.loss_inputs_of(batch))
        terms = [loss.per_sample(outputs, shared) for loss in losses]
        is_valid = valid_samples(losses, shared, replicas.count_samples(batch))
        self.validation_metrics.update_state(
            ops.stack([ops.mean(term) for term in terms]),
            sample_weight=ops.sum(is_valid, axis=0),
        )
        total = self.validation_metrics.weighted_sum(
            {loss.name: loss.weight for loss in losses}
        )
        return {"loss": total, **self.validation_metrics.result()}

    def used_branches(self, losses: list[BranchLoss]) -> dict[str, Branch]:
        """Returns the branches that at least one loss depends on."""
        used = {name for loss in losses for name in loss.branches}
        branches = self.branches().items()
        return {name: branch for name, branch in branches if name in used}

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
        return [self.validation_metrics, self.step_metrics, self.step_counter]

    def get_metrics_result(self) -> dict[str, Any]:
        """Returns the logs of training; `test_step` returns its own."""
        return self.step_metrics.result()

    def get_compile_config(self) -> dict[str, Any] | None:
        if not self.compiled:
            return None
        serialize = keras.saving.serialize_keras_object
        return {
            "optimizer": serialize(self.optimizer),
            "harmonizer": serialize(self.harmonizer),
            "num_groups": self.num_groups,
            "group_by": self.group_by,
            "compare": self.compare,
            "harmonized_variables": self.harmonized_variables,
            "num_micro_batches": self.num_micro_batches,
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

    def save_own_variables(self, store: Any) -> None:
        super().save_own_variables(store)
        store["num_steps"] = self.num_steps

    def load_own_variables(self, store: Any) -> None:
        store = {name: store[name] for name in store.keys()}  # noqa: SIM118
        # Files of earlier versions lack it.
        num_steps = store.pop("num_steps", None)
        super().load_own_variables(store)
        if num_steps is not None:
            self.num_steps.assign(num_steps)


def _batch_of(data):
    """Returns the batch in an element of a dataset; refuses targets and weights."""
    batch, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    refuse_targets(y, sample_weight)
    return batch


def _check_comparison(harmonizer, num_groups, group_by, compare, harmonized_variables):
    check_choice("group_by", group_by, ("samples", "anchors"))
    check_choice("compare", compare, ("parameters", "features"))
    check_choice("harmonized_variables", harmonized_variables, ("all", "shared"))
    is_number = isinstance(num_groups, numbers.Integral) and num_groups >= 1
    is_number = is_number and not isinstance(num_groups, bool)
    if not (is_number or num_groups == "per_clip"):
        raise ValueError(
            "`num_groups` must be an int of at least 1, or 'per_clip'. "
            f"Received: num_groups={num_groups!r}"
        )
    given = (num_groups, compare, harmonized_variables)
    if harmonizer is None and given != (1, "parameters", "all"):
        raise ValueError(
            "Without a harmonizer, nothing is compared: pass one, or leave out "
            "`num_groups`, `compare` and `harmonized_variables`. Received: "
            f"num_groups={num_groups!r}, compare={compare!r}, "
            f"harmonized_variables={harmonized_variables!r}, no harmonizer"
        )
    if compare == "features" and (group_by, harmonized_variables) != ("samples", "all"):
        raise ValueError(
            "`group_by` and `harmonized_variables` are for `compare='parameters'`. "
            f"Received: compare={compare!r}, group_by={group_by!r}, "
            f"harmonized_variables={harmonized_variables!r}"
        )


def _check_losses(losses):
    wrong = {
        loss.name: loss.weight for loss in losses if not 0 < loss.weight < math.inf
    }
    if wrong:
        raise ValueError(
            f"The weight of a loss must be positive and finite. Received: {wrong}"
        )
