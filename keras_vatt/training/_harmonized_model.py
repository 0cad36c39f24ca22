"""A Keras model whose training step harmonizes the gradients of its losses."""

import dataclasses
import importlib
import math
from collections.abc import Callable

import keras
from keras import ops

from keras_vatt import harmonization
from keras_vatt.training._batch_checks import refuse_targets
from keras_vatt.training._batch_loops import BatchLoops, variable_ids
from keras_vatt.training._frozen_layers import freeze_layers, frozen_layers
from keras_vatt.training._harmonized_step import HarmonizedStep, count_valid
from keras_vatt.training._metrics import NamedMeans, StepCounter, StepMetrics

# jax.py, tensorflow.py and torch.py hold the same functions.
_backend = importlib.import_module(
    f"keras_vatt.training.backends.{keras.config.backend()}"
)


@dataclasses.dataclass(frozen=True)
class Branch:
    """A part of the forward pass of a `HarmonizedModel`, usually one modality.

    Attributes:
        inputs: tuple of strings, the entries of the batch that it reads.
        encode: function `(batch, training) -> features`, from a dict of these entries
            to a nest of tensors with the samples' rows first, equally many for each
            sample. It sees each sample alone: it runs on a replica's or a
            micro-batch's samples.
        embed: function `(features, training) -> outputs`, nests of tensors. It sees
            the whole batch, as batch norm must; all replicas run it alike, so let it
            be small.
    """

    inputs: tuple[str, ...]
    encode: Callable
    embed: Callable

    def __call__(self, batch, training=True):
        """From a whole batch to the branch's outputs, on one device."""
        return self.embed(self.encode(batch, training=training), training=training)


@dataclasses.dataclass(frozen=True)
class BranchLoss:
    """One of the losses that pull on a `HarmonizedModel`.

    Attributes:
        name: string, the name under which it is logged.
        branches: tuple of strings, the branches whose outputs it is made of. Its
            gradient leaves the others alone.
        weight: float, what multiplies it in the total.
        per_sample: function `(outputs, batch) -> (batch_size,)` float32 tensor,
            the loss of each sample, whose mean is the loss; `outputs` is a dict
            with the outputs of `branches`, `batch` one with the model's
            `loss_inputs`.
        is_valid: function `batch -> (batch_size,)` float32 tensor, 1 for a sample that
            has this loss and 0 for one that lacks one of its sides; or `None` if all
            of them have. What is logged is the mean over the valid samples of all
            batches. Defaults to `None`, samples always have this loss.
    """

    name: str
    branches: tuple[str, ...]
    weight: float
    per_sample: Callable
    is_valid: Callable | None = None


class HarmonizedModel(BatchLoops, keras.Model):
    """Base class of models with several losses on a few branches.

    A subclass says in `branches` how its forward pass falls into branches, and in
    `branch_losses` which losses are made of their outputs. Then `compile` takes a
    harmonizer, and `fit` does the rest:

    1. each branch runs forward once;
    2. each loss is differentiated with respect to the outputs of its branches;
    3. each branch is walked backward once for each loss that it lies under, and
       never for another one;
    4. the Gram matrix of the gradients goes to the harmonizer, which says how to
       weigh them and whether to apply the step.

    With `harmonizer=None` each branch is walked backward once, with the sum of
    the losses' cotangents: the plain step on the total loss.

    On several devices each encodes its own samples. The features are gathered, so
    that losses and batch norm are those of the whole batch, and the harmonizer gets
    the Gram matrix of the whole batch's gradients: the step is the same on any number
    of devices. See the guide "Pre-train on a TPU pod".

    A step that the harmonizer does not apply changes no weight, no optimizer slot and
    no iteration count; batch-norm statistics and seeds advance all the same. A step
    whose gradients hold a NaN or an infinity leaves batch-norm statistics as they are,
    too. (Under `keras.optimizers.LossScaleOptimizer` it lowers the loss scale, as
    ever.)

    Thresholds and other schedules of a harmonizer read `num_steps`, the number of
    steps taken so far, skipped ones included. It is saved with the weights, and
    `compile` leaves it as it is; `model.num_steps.assign(0)` restarts a schedule.

    There are no targets: the losses compare the branches with each other. The metrics
    that are logged are listed in `keras_vatt.training.StepMetrics`.
    """

    # Entries of the batch that the losses read, such as masks.
    loss_inputs = ()

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.step_counter = StepCounter()
        self.num_groups = self.num_micro_batches = 1

    @property
    def num_steps(self):
        """int32 `keras.Variable`, the number of training steps taken so far."""
        return self.step_counter.num_steps

    def branches(self):
        """Dict from branch name to `Branch`."""
        raise NotImplementedError

    def branch_losses(self):
        """List of `BranchLoss`, in the order of the Gram matrix."""
        raise NotImplementedError

    def compile(
        self,
        optimizer="adam",
        harmonizer=None,
        num_groups=1,
        group_by="samples",
        num_micro_batches=1,
        run_eagerly=False,
        steps_per_execution=1,
        jit_compile="auto",
        auto_scale_loss=True,
    ):
        """Prepares the model for training.

        Args:
            optimizer: a Keras optimizer or its name. Defaults to `"adam"`.
            harmonizer: a `keras_vatt.harmonization.Harmonizer` or its name, such
                as `"curriculum+realign"`. `None` is the plain step on the total
                loss. Defaults to `None`.
            num_groups: int. The batch is cut into as many equal groups of
                consecutive samples; each group is harmonized on its own, and the
                results are summed. `1` compares the gradients of the whole batch;
                the batch size compares sample by sample, at that many backward
                passes. The result does not depend on the number of devices. With as
                many groups as devices, or a multiple, devices exchange no more than
                in the plain step. Defaults to `1`.
            group_by: string, what belongs to a group's gradient. Either way negatives
                come from the whole batch, and the gradients of all groups add up to
                that of the whole batch. With `"samples"`, all that reaches the
                encoders through the group's own samples: the gradient that one
                device computes which has just these samples. (To what follows the
                encoders, which sees all samples at once, the group contributes its
                own terms of the losses.) With `"anchors"`, the gradient of the
                group's own terms of the losses, through all samples; each group takes
                backward passes through the whole batch, and as much exchange between
                devices as a whole step. Defaults to `"samples"`.
            num_micro_batches: int. In how many parts a device's samples go through
                the encoders, to save memory: the result is that of the whole batch,
                for one more forward pass. Defaults to `1`.
            run_eagerly: see `keras.Model.compile`.
            steps_per_execution: see `keras.Model.compile`.
            jit_compile: see `keras.Model.compile`.
            auto_scale_loss: see `keras.Model.compile`.

        Raises:
            ValueError: if `num_groups` or `num_micro_batches` is below 1, there are
                groups without a harmonizer, `group_by` is unknown, or the backend
                can't train on the devices that are set.
        """
        _backend.check_devices()
        losses = self.branch_losses()
        _check_losses(losses)
        if group_by not in ("samples", "anchors") or num_micro_batches < 1:
            raise ValueError(
                "`group_by` must be 'samples' or 'anchors' and `num_micro_batches` at "
                f"least 1. Received: group_by={group_by!r}, "
                f"num_micro_batches={num_micro_batches}"
            )
        if num_groups < 1 or (num_groups > 1 and harmonizer is None):
            raise ValueError(
                "`num_groups` must be at least 1, and 1 if there is no harmonizer. "
                f"Received: num_groups={num_groups}, harmonizer={harmonizer}"
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
            # Which variables are trained is settled here, as in all of Keras; a
            # step that built the optimizer would be traced twice.
            self.optimizer.build(self.trainable_variables)
        # Past Keras' tracker, which would wrap the list.
        self.__dict__["_compiled_for"] = variable_ids(self)
        self.harmonizer = None if harmonizer is None else harmonization.get(harmonizer)
        self.num_groups = num_groups
        self.group_by = group_by
        self.num_micro_batches = num_micro_batches
        step_metrics = StepMetrics(
            {loss.name: loss.weight for loss in losses},
            harmonized=harmonizer is not None,
        )
        validation_metrics = NamedMeans([loss.name for loss in losses])
        # Past Keras' tracker, which takes no new state once a model is built and
        # would keep the metrics of an earlier `compile`; `metrics` lists them.
        object.__setattr__(self, "step_metrics", step_metrics)
        object.__setattr__(self, "validation_metrics", validation_metrics)

    def train_step(self, *args):
        """One step, in the form that the backend's Keras trainer calls."""
        return _backend.train_step(self, *args)

    def update(self, data, replicas):
        """Trains on one batch: reads and assigns the model's variables.

        Args:
            data: dict of tensors, the batch, or this replica's slice of it.
            replicas: `OneReplica` or another kind.

        Returns:
            Dict of logs, the metrics so far.
        """
        if not self.trainable_variables:
            raise ValueError("Nothing of this model is trainable: all of it is frozen.")
        step = HarmonizedStep(_backend, self, replicas, _batch_of(data)).take()
        finite = ops.equal(step["nonfinite"], 0)
        self._assign_updates(step["updates"], finite)
        self._apply(step, finite, replicas)
        self.step_metrics.update_step(step)
        self.step_counter.update_step(step)
        return self.get_metrics_result()

    def _assign_updates(self, updates, finite):
        """Assigns seeds, and in a finite step statistics, unless they overflow."""
        statistics = [value for variable, value in updates if "float" in variable.dtype]
        for value in statistics:
            finite = ops.logical_and(finite, ops.all(ops.isfinite(value)))
        for variable, value in updates:
            if "float" in variable.dtype:
                value = ops.where(finite, value, variable.value)
            variable.assign(value)

    def _apply(self, step, finite, replicas):
        apply = ops.logical_and(finite, step["applied"] > 0)
        gradients = step["gradients"]
        if isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer):
            # It has to see the overflow to lower its scale, and skips the step
            # itself; the sums that went into the Gram matrix may overflow where
            # no gradient does.
            poison = ops.where(finite, 1.0, float("nan"))
            gradients = [g * ops.cast(poison, g.dtype) for g in gradients]
            apply = ops.logical_or(apply, ops.logical_not(finite))
        _backend.apply_gradients(self, gradients, apply, replicas)

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Nothing: these models and their metrics are built when they are made.

        Under a `tf.distribute` strategy Keras would take the mean of the first batch
        over the replicas for it, which fails if they have not the same size.
        """

    def test_step(self, *args):
        """Losses of one batch, in the form that the backend's Keras trainer calls."""
        return _backend.test_step(self, *args)

    def validate(self, data, replicas):
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
        self.validation_metrics.update_state(
            ops.stack([ops.mean(term) for term in terms]),
            sample_weight=count_valid(losses, shared, replicas.count_samples(batch)),
        )
        total = self.validation_metrics.weighted_sum(
            {loss.name: loss.weight for loss in losses}
        )
        return {"loss": total, **self.validation_metrics.result()}

    def used_branches(self, losses):
        """The `branches` that some of the losses are made of."""
        used = {name for loss in losses for name in loss.branches}
        branches = self.branches().items()
        return {name: branch for name, branch in branches if name in used}

    def loss_inputs_of(self, batch):
        """Dict of what the losses read of a batch."""
        return {n: batch[n] for n in self.loss_inputs if batch.get(n) is not None}

    @property
    def metrics(self):
        if not self.compiled:
            return []
        return [self.validation_metrics, self.step_metrics, self.step_counter]

    def get_metrics_result(self):
        """The logs of training; `test_step` returns its own."""
        return self.step_metrics.result()

    def get_compile_config(self):
        if not self.compiled:
            return None
        serialize = keras.saving.serialize_keras_object
        return {
            "optimizer": serialize(self.optimizer),
            "harmonizer": serialize(self.harmonizer),
            "num_groups": self.num_groups,
            "group_by": self.group_by,
            "num_micro_batches": self.num_micro_batches,
            "run_eagerly": self.run_eagerly,
            "steps_per_execution": self.steps_per_execution,
            "jit_compile": self.jit_compile,
            "auto_scale_loss": self.auto_scale_loss,
            "frozen_layers": frozen_layers(self),
        }

    def compile_from_config(self, config):
        config = dict(config)
        freeze_layers(self, config.pop("frozen_layers", ()))
        self.compile(**keras.saving.deserialize_keras_object(config))

    def save_own_variables(self, store):
        super().save_own_variables(store)
        store["num_steps"] = self.num_steps

    def load_own_variables(self, store):
        store = {name: store[name] for name in store.keys()}  # noqa: SIM118
        # Files of earlier versions lack it.
        num_steps = store.pop("num_steps", None)
        super().load_own_variables(store)
        if num_steps is not None:
            self.num_steps.assign(num_steps)


def _batch_of(data):
    """Returns the batch of what a dataset yields; refuses targets and weights."""
    batch, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    refuse_targets(y, sample_weight)
    return batch


def _check_losses(losses):
    wrong = {
        loss.name: loss.weight for loss in losses if not 0 < loss.weight < math.inf
    }
    if wrong:
        raise ValueError(
            f"The weight of a loss must be positive and finite. Received: {wrong}"
        )
