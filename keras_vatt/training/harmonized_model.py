"""A Keras model whose training step harmonizes the gradients of its losses."""

import dataclasses
import importlib
from collections.abc import Callable

import keras
from keras import ops, tree

from keras_vatt import harmonization
from keras_vatt.training.metrics import NamedMeans, StepMetrics

# jax.py, tensorflow.py and torch.py hold the same four functions.
_backend = importlib.import_module(f"keras_vatt.training.{keras.config.backend()}")


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
            with the outputs of `branches`.
    """

    name: str
    branches: tuple[str, ...]
    weight: float
    per_sample: Callable


class HarmonizedModel(keras.Model):
    """Base class of models with several losses on a few branches.

    A subclass says in `branches` how its forward pass falls into branches, each
    a function of the batch that ends in small outputs, and in `branch_losses`
    which losses are made of those outputs. Then `compile` takes a harmonizer,
    and `fit` does the rest:

    1. each branch runs forward once;
    2. each loss is differentiated with respect to the outputs of its branches;
    3. each branch is walked backward once for each loss that it lies under, and
       never for another one;
    4. the Gram matrix of the gradients goes to the harmonizer, which says how to
       weigh them and whether to apply the step.

    With `harmonizer=None` each branch is walked backward once, with the sum of
    the losses' cotangents: the plain step on the total loss.

    A step whose gradients hold a NaN or an infinity, or that the harmonizer
    does not apply, changes no weight, no optimizer slot and no iteration count;
    batch-norm statistics and seeds advance all the same. (Under
    `keras.optimizers.LossScaleOptimizer` a non-finite gradient lowers the loss
    scale, as ever.) Thresholds and other schedules of a harmonizer read the
    number of steps taken so far, skipped ones included.

    What is logged is listed in `keras_vatt.training.StepMetrics`.
    """

    def branches(self):
        """Dict from branch name to a function `batch -> nest of tensors`.

        The functions run in training mode.
        """
        raise NotImplementedError

    def branch_losses(self):
        """List of `BranchLoss`, in the order of the Gram matrix."""
        raise NotImplementedError

    def compile(
        self,
        optimizer="adam",
        harmonizer=None,
        num_groups=1,
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
                consecutive samples; a group's losses are its own samples' terms,
                with negatives from the whole batch; each group is harmonized on
                its own and the results are summed. `1` compares the gradients
                of the whole batch; the batch size compares sample by sample, at
                that many backward passes. Defaults to `1`.
            run_eagerly: see `keras.Model.compile`.
            steps_per_execution: see `keras.Model.compile`.
            jit_compile: see `keras.Model.compile`.
            auto_scale_loss: see `keras.Model.compile`.

        Raises:
            ValueError: if `num_groups` is below 1, or above 1 without a
                harmonizer.
        """
        losses = self.branch_losses()
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
        self.harmonizer = None if harmonizer is None else harmonization.get(harmonizer)
        self.num_groups = num_groups
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

    def update(self, data):
        """Trains on one batch: reads and assigns the model's variables.

        Args:
            data: dict of tensors, the batch.

        Returns:
            Dict of logs, the metrics so far.
        """
        batch, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        losses = self.branch_losses()
        outputs, pull_backs = self._run_forward(losses, batch)
        take_step = self._plain_step if self.harmonizer is None else self._grouped_step
        step = take_step(losses, outputs, pull_backs, batch)
        self._apply(step)
        self.step_metrics.update_step(step)
        return self.get_metrics_result()

    def _run_forward(self, losses, batch):
        branches = self.branches()
        used = [n for n in branches if any(n in loss.branches for loss in losses)]
        outputs, pull_backs = {}, {}
        for name in used:
            outputs[name], pull_backs[name] = _backend.pullback(
                self, branches[name], batch, num_uses=self.num_groups
            )
        return outputs, pull_backs

    def _plain_step(self, losses, outputs, pull_backs, batch):
        values, cotangents = self._differentiate(losses, outputs, batch)
        gradients = None
        for name, pull_back in pull_backs.items():
            own = [cotangent[name] for cotangent in cotangents if name in cotangent]
            total = tree.map_structure(lambda *leaves: sum(leaves), *own)
            gradients = _sum_gradients(gradients, pull_back([total])[0])
        gram = harmonization.gradient_gram([gradients])
        return {
            "gradients": self._without_none(gradients),
            "losses": values,
            "nonfinite": _is_nonfinite(gram),
            "applied": ops.ones(()),
        }

    def _grouped_step(self, losses, outputs, pull_backs, batch):
        def group_step(index):
            return self._group_step(index, losses, outputs, pull_backs, batch)

        if self.num_groups == 1:
            return group_step(0)
        zero, zeros = ops.zeros(()), ops.zeros((len(losses),))
        step = ops.fori_loop(
            0,
            self.num_groups,
            lambda index, sums: tree.map_structure(ops.add, sums, group_step(index)),
            {
                "gradients": [_zeros(v) for v in self.trainable_variables],
                "losses": zeros,
                "nonfinite": zero,
                "applied": zero,
                "cosine": zero,
                "conflict": zero,
                "norms": zeros,
            },
        )
        averaged = ("nonfinite", "applied", "cosine", "conflict", "norms")
        return step | {name: step[name] / self.num_groups for name in averaged}

    def _group_step(self, group, losses, outputs, pull_backs, batch):
        values, cotangents = self._differentiate(losses, outputs, batch, group)
        gradients = [None] * len(losses)
        for name, pull_back in pull_backs.items():
            users = [k for k, loss in enumerate(losses) if name in loss.branches]
            pulled = pull_back([cotangents[k][name] for k in users])
            for k, gradient in zip(users, pulled, strict=True):
                gradients[k] = _sum_gradients(gradients[k], gradient)
        gram = harmonization.gradient_gram(gradients) / self._loss_scale() ** 2
        weights, apply = self.harmonizer(gram, self.step_metrics.num_steps.value)
        applied = ops.cast(apply, "float32")
        combined = harmonization.combine_gradients(gradients, weights * applied)
        cosine = harmonization.smallest_cosine(gram)
        return {
            "gradients": self._without_none(combined),
            "losses": values,
            "nonfinite": _is_nonfinite(gram),
            "applied": applied,
            "cosine": cosine,
            "conflict": ops.cast(cosine < 0, "float32"),
            "norms": harmonization.gradient_norms(gram),
        }

    def _differentiate(self, losses, outputs, batch, group=None):
        """Values of the losses and, for each, the cotangents of its branches.

        Cotangents are those of the losses as weighted in the total, times the
        optimizer's loss scale. With `group` only that group's samples count.
        """
        scale = self._loss_scale()
        values, cotangents = [], []
        for loss in losses:

            def scaled_loss(own_outputs, loss=loss):
                terms = loss.per_sample(own_outputs, batch)
                if self.num_groups > 1:
                    terms = terms * _in_group(group, self.num_groups, terms)
                return ops.mean(terms) * loss.weight * scale

            own_outputs = {name: outputs[name] for name in loss.branches}
            value, cotangent = _backend.value_and_cotangents(scaled_loss, own_outputs)
            values.append(value / (loss.weight * scale))
            cotangents.append(cotangent)
        return ops.stack(values), cotangents

    def _loss_scale(self):
        return self.optimizer.scale_loss(ops.ones(()))

    def _without_none(self, gradients):
        """A variable that no loss reaches has gradient zero on every backend."""
        return [
            _zeros(variable) if gradient is None else gradient
            for variable, gradient in zip(
                self.trainable_variables, gradients, strict=True
            )
        ]

    def _apply(self, step):
        finite = ops.equal(step["nonfinite"], 0)
        apply = ops.logical_and(finite, step["applied"] > 0)
        gradients = step["gradients"]
        if isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer):
            # It has to see the overflow to lower its scale, and skips the step
            # itself; the sums that went into the Gram matrix may overflow where
            # no gradient does.
            poison = ops.where(finite, 1.0, float("nan"))
            gradients = [g * ops.cast(poison, g.dtype) for g in gradients]
            apply = ops.logical_or(apply, ops.logical_not(finite))
        _backend.apply_gradients(self, gradients, apply)

    @property
    def metrics(self):
        if not self.compiled:
            return []
        return [self._loss_tracker, self.validation_metrics, self.step_metrics]

    def get_metrics_result(self):
        """The logs of training; `test_step` returns its own."""
        return self.step_metrics.result()

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        """Total loss of a batch `x`, from the outputs `y_pred` of the model."""
        return sum(
            loss.weight * ops.mean(loss.per_sample(y_pred, x))
            for loss in self.branch_losses()
        )

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """Losses of validation: `loss` and each loss by name."""
        terms = [loss.per_sample(y_pred, x) for loss in self.branch_losses()]
        self.validation_metrics.update_state(
            ops.stack([ops.mean(term) for term in terms]),
            sample_weight=ops.shape(terms[0])[0],
        )
        return {"loss": self._loss_tracker.result(), **self.validation_metrics.result()}

    def get_compile_config(self):
        if not self.compiled:
            return None
        serialize = keras.saving.serialize_keras_object
        return {
            "optimizer": serialize(self.optimizer),
            "harmonizer": serialize(self.harmonizer),
            "num_groups": self.num_groups,
            "run_eagerly": self.run_eagerly,
            "steps_per_execution": self.steps_per_execution,
            "jit_compile": self.jit_compile,
        }

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))


def _sum_gradients(first, second):
    if first is None:
        return list(second)
    return [_sum_or_either(a, b) for a, b in zip(first, second, strict=True)]


def _sum_or_either(first, second):
    if first is None or second is None:
        return second if first is None else first
    return first + second


def _zeros(variable):
    return ops.zeros(variable.shape, variable.dtype)


def _is_nonfinite(gram):
    # A sum of squares shows any NaN or infinity among its terms.
    return ops.cast(ops.logical_not(ops.all(ops.isfinite(gram))), "float32")


def _in_group(group, num_groups, terms):
    """1 for the samples of a group, 0 for the others."""
    static_size = terms.shape[0]
    if static_size is not None and static_size % num_groups:
        raise ValueError(
            "The batch size must be a multiple of `num_groups`. Received: "
            f"batch size {static_size}, num_groups={num_groups}"
        )
    batch_size = ops.shape(terms)[0]
    groups = ops.arange(batch_size) * num_groups // batch_size
    return ops.cast(ops.equal(groups, group), terms.dtype)
