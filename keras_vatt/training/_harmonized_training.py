"""The training step of `HarmonizedModel` and `MultiTaskModel`."""

from __future__ import annotations

import importlib
import math
import numbers
from typing import Any

import keras
from keras import ops

from keras_vatt import harmonization
from keras_vatt._choices import check_choice
from keras_vatt._keras_internals import set_untracked
from keras_vatt.training._branches import Branch, BranchLoss
from keras_vatt.training._definition_checks import undefined_method
from keras_vatt.training._harmonized_step import HarmonizedStep
from keras_vatt.training._harmonizer_state import HarmonizerState
from keras_vatt.training._metrics import StepCounter, StepMetrics
from keras_vatt.training._replicas import OneReplica
from keras_vatt.training.backends.protocol import Backend

_backend: Backend = importlib.import_module(
    f"keras_vatt.training.backends.{keras.config.backend()}"
)
_HARMONIZER_STATE = "harmonizer_"


class HarmonizedTraining:
    """Mixin with a training step that harmonizes gradients, before `keras.Model`.

    A subclass defines `branches` and `branch_losses`. Its `compile` calls
    `check_harmonization`, then `keras.Model.compile`, then `prepare_harmonization`.
    """

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
        raise undefined_method(self, "branches", "a dict from names to `Branch`es")

    def branch_losses(self) -> list[BranchLoss]:
        """Returns the list of `BranchLoss`, in the order of the Gram matrix."""
        raise undefined_method(self, "branch_losses", "a list of `BranchLoss`es")

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

    def batch_of(self, data: Any) -> dict[str, Any]:
        """Returns the batch in an element of a dataset, a dict of nests of tensors."""
        raise NotImplementedError

    def loss_inputs_of(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Returns what the losses read of a batch, a dict of nests of tensors."""
        raise NotImplementedError

    def whole_loss_inputs(self, loss_inputs: dict[str, Any]) -> dict[str, Any]:
        """Returns the second argument of `per_sample`, from the whole batch's inputs.

        By default, `loss_inputs` as they are.
        """
        return loss_inputs

    def prepare_harmonization(
        self, losses: list[BranchLoss], harmonizer: Any, **settings: Any
    ) -> None:
        """Sets up the training step, at the end of `compile`.

        Args:
            losses: list of `BranchLoss`.
            harmonizer: a `Harmonizer`, a name or `None`.
            **settings: `num_groups`, `group_by`, `compare`, `harmonized_variables` and
                `num_micro_batches`, see `HarmonizedModel.compile`.
        """
        if not self.optimizer.built:
            # `compile` fixes the set of trained variables, as in all of Keras; a step
            # that built the optimizer would be traced twice.
            self.optimizer.build(self.trainable_variables)
        # To collect them from all layers takes as long as a layer on PyTorch.
        set_untracked(self, "trained_variables", self.trainable_variables)
        self.harmonizer = None if harmonizer is None else harmonization.get(harmonizer)
        for name, value in settings.items():
            setattr(self, name, value)
        # Tracked, the metrics of an earlier `compile` would stay; `metrics` lists them.
        weights = {loss.name: loss.weight for loss in losses}
        step_metrics = StepMetrics(weights, harmonized=harmonizer is not None)
        set_untracked(self, "step_metrics", step_metrics)
        state = {}
        if self.harmonizer is not None:
            state = self.harmonizer.initial_state(len(losses))
        set_untracked(self, "harmonizer_state", HarmonizerState(state))

    def resumed_metrics(self) -> list[keras.metrics.Metric]:
        """Returns the metrics that a `RunCheckpoint` saves and restores."""
        return self.metrics

    def harmonization_config(self) -> dict[str, Any]:
        """Returns the serialized settings of `prepare_harmonization`."""
        return {
            "harmonizer": keras.saving.serialize_keras_object(self.harmonizer),
            "num_groups": self.num_groups,
            "group_by": self.group_by,
            "compare": self.compare,
            "harmonized_variables": self.harmonized_variables,
            "num_micro_batches": self.num_micro_batches,
        }

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
        step = HarmonizedStep(_backend, self, replicas, self.batch_of(data))
        result = step.take()
        finite = ops.equal(result.nonfinite, 0)
        self._assign_updates(result.updates, finite)
        self.harmonizer_state.assign(result.state, finite)
        self._apply(result, finite, replicas)
        self.step_metrics.update_step(result)
        self.step_counter.update_step(result)
        return self.training_logs(step)

    def training_logs(self, step: HarmonizedStep) -> dict[str, Any]:
        """Returns the metrics so far, after one step.

        Args:
            step: `HarmonizedStep`, with the outputs and loss inputs of the batch.

        Returns:
            Dict of logs.
        """
        return self.step_metrics.result()

    def _assign_updates(self, updates, finite):
        """Assigns seeds, and statistics if step and statistics are finite."""
        statistics = [value for variable, value in updates if "float" in variable.dtype]
        self._refuse_assigned_weights(updates)
        for value in statistics:
            finite = ops.logical_and(finite, ops.all(ops.isfinite(value)))
        for variable, value in updates:
            if "float" in variable.dtype:
                value = ops.where(finite, value, variable.value)
            variable.assign(value)

    def _refuse_assigned_weights(self, updates):
        trained = set(_ids(self.trained_variables))
        paths = [variable.path for variable, _ in updates if id(variable) in trained]
        if paths:
            raise ValueError(
                "A layer assigns a weight in its forward pass that the optimizer "
                "trains, as `keras.layers.SpectralNormalization` does. This is not "
                f"supported: freeze these weights, or leave out the layer: {paths}"
            )

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

    def used_branches(self, losses: list[BranchLoss]) -> dict[str, Branch]:
        """Returns the branches that at least one loss depends on."""
        used = {name for loss in losses for name in loss.branches}
        branches = self.branches().items()
        return {name: branch for name, branch in branches if name in used}

    def branches_for(self, batch: Any, losses: list[BranchLoss]) -> dict[str, Branch]:
        """Returns the branches for one batch, those that losses depend on."""
        return self.used_branches(losses)

    def losses_for(self, batch: Any, num_samples: Any) -> list[BranchLoss]:
        """Returns the losses for one batch with a given number of samples."""
        return self.branch_losses()

    def make_train_function(self, force: bool = False) -> Any:
        """Creates Keras' function of one training step; checks the weights first."""
        self.check_trainable()
        return super().make_train_function(force)

    def check_trainable(self) -> None:
        """Refuses to train other weights than those that `compile` found.

        Raises:
            ValueError: if the model is not compiled, or other weights are trainable.
        """
        # On PyTorch Keras would miss the optimizer first.
        if not self.compiled:
            raise ValueError("You must call `compile()` before using the model.")
        if _ids(self.trained_variables) != _ids(self.trainable_variables):
            raise ValueError(
                "Other weights are trainable than when `compile` was called, since "
                "`trainable` was set or LoRA was enabled: call `compile` again first."
            )

    def parts_of_a_batch(self) -> dict[str, int]:
        """Returns the numbers of parts that batches are cut into, by setting."""
        per_clip = self.num_groups == "per_clip"
        return {
            "num_groups": 1 if per_clip else self.num_groups,
            "num_micro_batches": self.num_micro_batches,
        }

    def save_own_variables(self, store: Any) -> None:
        super().save_own_variables(store)
        store["num_steps"] = self.num_steps
        if self.compiled:
            for name, variable in self.harmonizer_state.values.items():
                store[_HARMONIZER_STATE + name] = variable

    def load_own_variables(self, store: Any) -> None:
        store = {name: store[name] for name in store.keys()}  # noqa: SIM118
        # Files of earlier versions lack it.
        num_steps = store.pop("num_steps", None)
        state = {
            name.removeprefix(_HARMONIZER_STATE): store.pop(name)
            for name in list(store)
            if name.startswith(_HARMONIZER_STATE)
        }
        super().load_own_variables(store)
        if num_steps is not None:
            self.num_steps.assign(num_steps)
        if self.compiled:
            self.harmonizer_state.restore(state)


def check_harmonization(
    losses: list[BranchLoss],
    harmonizer: Any,
    num_groups: int | str,
    group_by: str,
    compare: str,
    harmonized_variables: str,
    num_micro_batches: int,
) -> None:
    """Checks the arguments of `compile`; see `HarmonizedModel.compile`.

    Raises:
        ValueError: if an argument has none of its values, arguments contradict each
            other, or the backend can't train on the devices that are set.
    """
    _backend.check_devices()
    _check_losses(losses)
    _check_comparison(harmonizer, num_groups, group_by, compare, harmonized_variables)
    if num_micro_batches < 1:
        raise ValueError(
            "`num_micro_batches` must be at least 1. "
            f"Received: num_micro_batches={num_micro_batches}"
        )
    if harmonizer is None:
        return
    if len(losses) < 2:
        raise ValueError(
            "A harmonizer needs at least two losses: add one, or leave out "
            f"`harmonizer`. Received: losses={[loss.name for loss in losses]}"
        )
    state = harmonization.get(harmonizer).initial_state(len(losses))
    if state and (num_groups, compare) != (1, "parameters"):
        raise ValueError(
            "This harmonizer keeps state over the steps, which needs one Gram matrix "
            "per step: leave `num_groups` and `compare` at their defaults. Received: "
            f"harmonizer={type(harmonization.get(harmonizer)).__name__}, "
            f"num_groups={num_groups!r}, compare={compare!r}"
        )


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
            "The weight of a loss must be positive and finite: leave out a loss that "
            f"should not count. Received: {wrong}"
        )


def _ids(variables):
    return [id(variable) for variable in variables]
