"""Checkpoints from which an interrupted training run resumes exactly."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from typing import Any

import jax
import keras
import numpy as np
import orbax.checkpoint as ocp

from keras_vatt._files import check_free_space
from keras_vatt._os_errors import os_errors_at
from keras_vatt.training._checkpoint_folder import (
    CheckpointError,
    SealedPath,
    is_bucket,
    newest_whole,
    set_aside,
    warn_of_damage,
)
from keras_vatt.training._checksums import PROMISE, has_checksums
from keras_vatt.training._cosine_histogram import NUM_BINS, ReadsCosines


class RunCheckpoint(ReadsCosines):
    """Saves the whole state of a run at the end of every epoch, or more often.

    The state holds the weights, the optimizer's slots and iterations, batch-norm
    statistics, the state of all seed generators, the metrics with the number of
    steps that the thresholds of a harmonizer read, and the history of logs.
    (`.weights.h5` and `keras.callbacks.BackupAndRestore` leave out seeds and
    metrics, and write in place: a kill while they write leaves neither the old nor
    the new state.)

    Orbax writes it. A checkpoint is a folder named after the number of steps. A thread
    writes it under a temporary name while training continues, and renames it when it is
    complete. On JAX each process writes its own shards, and `restore` distributes the
    values as the variables of the model are: a run can resume with another number of
    devices or another `keras.distribution`. With several processes, each of them makes
    the same calls on the same shared folder.

    An error while a checkpoint is written is raised by the next save or at the end of
    `fit`.

    Each checkpoint has the checksums of all of its files, which `restore` compares:
    a checkpoint with a damaged, missing or additional file is renamed, with a
    warning that names the file, and the next older one is used.
    (In a bucket, such as `gs://...`, the store checks its files.)

    Args:
        folder: str or path, where the checkpoints are kept.
        keep: int, the number of newest checkpoints to keep. Defaults to `2`.
        every_steps: int, save also within an epoch, after every `every_steps` steps, so
            that a lost machine costs minutes. Needs `steps_per_epoch` of `fit` if the
            length of an epoch is unknown. `None` saves at the end of epochs only.
            Defaults to `None`.

    Attributes:
        history: list of the logs of all epochs, as dicts.
        cosine_counts: list of the histograms of all epochs, lists of floats as in
            `StepMetrics.cosine_counts`, or `None` for epochs without a harmonizer.
        validations: list of dicts of JSON values, to which another callback, before
            this one, adds the results of validations. They are saved and restored.
        steps: int, the steps of the run up to the newest save.
        epoch: int, the whole epochs among them.
        step_in_epoch: int, the steps of the epoch that is begun.

    Example:
    ```python
    checkpoint = keras_vatt.training.RunCheckpoint("runs/x/checkpoints", every_steps=50)
    checkpoint.restore(model)
    for start_step, arguments in checkpoint.remaining_fits(10, steps_per_epoch=100):
        dataset = make_dataset(source, 64, training=True, start_step=start_step)
        model.fit(dataset, callbacks=[checkpoint], **arguments)
    checkpoint.history  # list of the logs of all 10 epochs
    ```
    """

    def __init__(
        self, folder: str | os.PathLike, keep: int = 2, every_steps: int | None = None
    ) -> None:
        super().__init__()
        if keep < 1 or (every_steps is not None and every_steps < 1):
            raise ValueError(
                "`keep` and `every_steps` must be at least 1. Received: "
                f"keep={keep}, every_steps={every_steps}"
            )
        self.folder = folder
        self._place = _absolute(folder)
        self.keep = keep
        self.every_steps = every_steps
        self.history, self.cosine_counts, self.validations = [], [], []
        self.steps = self.epoch = self.step_in_epoch = 0
        self._metrics_of_begun_epoch = {}

    def restore(self, model: keras.Model) -> int:
        """Restores the newest checkpoint into a compiled model of the same form.

        Warns of damaged checkpoints and uses the newest intact one instead.

        Args:
            model: a compiled `keras_vatt.training.HarmonizedModel`.

        Returns:
            int, the number of steps that the run has made; `0` if there is no
            checkpoint. `remaining_fits` returns the rest of the run.

        Raises:
            CheckpointError: a `ValueError`, if the checkpoint is of another model or
                optimizer, or all checkpoints are damaged.
        """
        self.set_model(model)
        if "_manager" in vars(self):
            self.wait()
        step, restored = self._read_newest(_state_variables(model))
        if step is None:
            return 0
        for name, variable in _state_variables(model).items():
            variable.assign(restored.state[name])
        self.steps = step
        self.epoch = restored.run["epoch"]
        self.step_in_epoch = restored.run["step_in_epoch"]
        self.history = restored.run["history"]
        self.cosine_counts = restored.run["cosine_counts"]
        # Checkpoints of earlier versions lack them.
        self.validations = restored.run.get("validations", [])
        self._metrics_of_begun_epoch = {
            name: value
            for name, value in restored.state.items()
            if self.step_in_epoch and name.startswith("metrics/")
        }
        return self.steps

    def remaining_fits(
        self, epochs: int, steps_per_epoch: int
    ) -> Iterator[tuple[int, dict[str, int]]]:
        """Yields the arguments of the calls of `fit` that complete the run.

        There is one call of `fit`; or two if the run stopped within an epoch, of which
        the first completes that epoch. Its logs are those of the whole epoch.

        Args:
            epochs: int, the epochs of the whole run.
            steps_per_epoch: int, the steps of an epoch.

        Yields:
            Tuples of an int, the first batch of the data (`start_step` of
            `keras_vatt.data.make_dataset`), and the dict of the arguments
            `initial_epoch`, `epochs` and `steps_per_epoch` of `fit`.

        Raises:
            CheckpointError: a `ValueError`, if the epoch that is begun is longer than
                an epoch, or its end was not kept.
        """
        if self.step_in_epoch and self.epoch < epochs:
            yield self.steps, self._rest_of_epoch(steps_per_epoch)
            if self.model.stop_training:
                return
            # `fit` may leave other weights behind than it trained with: an
            # optimizer with `use_ema` puts its averages into the model.
            self.restore(self.model)
            if self.step_in_epoch:
                raise CheckpointError(
                    f"The end of epoch {self.epoch + 1} is not in "
                    f"{str(self.folder)!r}: it was not trained, or its checkpoint was "
                    "damaged as soon as it was written. Resume the run."
                )
        if self.epoch < epochs:
            yield (
                self.steps,
                {
                    "initial_epoch": self.epoch,
                    "epochs": epochs,
                    "steps_per_epoch": steps_per_epoch,
                },
            )

    def save(self) -> None:
        """Starts to write a checkpoint of the current state of the run.

        Waits for the previous checkpoint, and returns when the state is copied.
        """
        variables = _state_variables(self.model)
        state = {name: _snapshot(variable) for name, variable in variables.items()}
        self._check_space(state)
        run = {
            "epoch": self.epoch,
            "step_in_epoch": self.step_in_epoch,
            "history": self.history,
            "cosine_counts": self.cosine_counts,
            "validations": self.validations,
        }
        self._manager.save(
            self.steps,
            args=ocp.args.Composite(
                state=ocp.args.StandardSave(state), run=ocp.args.JsonSave(run)
            ),
            custom_metadata=None if is_bucket(self._place) else PROMISE,
            force=True,
        )

    def wait(self) -> None:
        """Waits until the newest checkpoint is written; raises its error, if any.

        The end of `fit` waits too, but not a `fit` that is interrupted.
        """
        with os_errors_at(self.folder):
            self._manager.wait_until_finished()

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        newest = self._manager.latest_step()
        if newest is not None and newest > self.steps:
            raise CheckpointError(
                f"{str(self.folder)!r} holds a run of {newest} steps: resume it with "
                "`restore`, or use another folder."
            )
        if self.every_steps and not self.params.get("steps"):
            raise ValueError(
                "`every_steps` needs to know how long an epoch is: pass "
                "`steps_per_epoch` to `fit`."
            )
        # Steps of the model that are no part of this run, such as a warm-up.
        self._other_steps = self._steps_of_model() - self.steps

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        super().on_epoch_begin(epoch, logs)
        if epoch != self.epoch:
            self.epoch, self.step_in_epoch = epoch, 0
            self._metrics_of_begun_epoch = {}
        self._steps_before = self.steps
        self._begun = self.step_in_epoch
        variables = _state_variables(self.model)
        # `fit` has just reset them.
        for name, value in self._metrics_of_begun_epoch.items():
            variables[name].assign(value)
        self._metrics_of_begun_epoch = {}

    def on_train_batch_begin(
        self, batch: Any, logs: dict[str, float] | None = None
    ) -> None:
        # Not at the end of the batch: there Keras would wait for the logs of each
        # step, and the last batch is for `on_epoch_end`.
        if not self.every_steps or batch == 0:
            return
        now = self._steps_before + batch
        if now // self.every_steps > self.steps // self.every_steps:
            self.steps, self.step_in_epoch = now, self._begun + batch
            self.save()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        logs = {name: float(value) for name, value in (logs or {}).items()}
        self.history = [*self.history[:epoch], logs]
        self.cosine_counts = [*self.cosine_counts[:epoch], self.epoch_cosines()]
        self.steps = self._steps_of_model() - self._other_steps
        self.epoch, self.step_in_epoch = epoch + 1, 0
        self.save()

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        self.wait()

    @functools.cached_property
    def _manager(self):
        # Made at its first use, in which all processes meet.
        return ocp.CheckpointManager(
            self._place,
            options=ocp.CheckpointManagerOptions(
                preservation_policy=ocp.checkpoint_managers.LatestN(self.keep),
                cleanup_tmp_directories=True,
                temporary_path_class=None if is_bucket(self._place) else SealedPath,
            ),
            handler_registry=ocp.handlers.create_default_handler_registry(
                state=ocp.StandardCheckpointHandler(), run=ocp.JsonCheckpointHandler()
            ),
        )

    def _check_space(self, state):
        """Find a full disk before Orbax does: its threads print a traceback each."""
        if not is_bucket(self._place):
            # Half of it: what is written is compressed.
            size = sum(value.nbytes for value in state.values()) // 2
            check_free_space(self._place, size)

    def _read_newest(self, variables):
        """The step and what Orbax reads of the newest checkpoint that is whole."""
        if is_bucket(self._place):
            step = self._manager.latest_step()
            return step, None if step is None else self._read(variables, step)
        damages, restored = {}, None
        while restored is None:
            step = newest_whole(self._place, damages)
            if step is None:
                return None, None
            try:
                restored = self._read(variables, step)
            except CheckpointError:
                raise
            except Exception as error:
                damages[step] = self._unreadable(step, error)
        if set_aside(self._place, damages):
            self._manager.reload()
        warn_of_damage(self._place, step, damages)
        return step, restored

    def _unreadable(self, step, error):
        """Why a checkpoint without checksums is taken to be damaged."""
        # Processes that read parts of a checkpoint do not fail together.
        may_be_damaged = jax.process_count() == 1
        reason = f"it can't be read ({type(error).__name__}: {_first_line(error)})"
        if may_be_damaged and not has_checksums(os.path.join(self._place, str(step))):
            return reason
        raise CheckpointError(
            f"The checkpoint of step {step} in {str(self.folder)!r} can't be resumed "
            f"from: {reason}"
        ) from error

    def _read(self, variables, step):
        self._check_is_of(variables, step)
        targets = {name: _target(variable) for name, variable in variables.items()}
        restored = self._manager.restore(
            step,
            args=ocp.args.Composite(
                state=ocp.args.StandardRestore(targets), run=ocp.args.JsonRestore()
            ),
        )
        _check_run(restored.run)
        return restored

    def _check_is_of(self, variables, step):
        saved = self._manager.item_metadata(step).state.tree
        shapes = {name: tuple(value.shape) for name, value in saved.items()}
        wrong = set(shapes) ^ set(variables) or {
            name
            for name, variable in variables.items()
            if shapes[name] != tuple(variable.shape)
        }
        if wrong:
            raise CheckpointError(
                f"The checkpoint of step {step} in {str(self.folder)!r} is of another "
                "model, optimizer, harmonizer or version. What differs, among others: "
                f"{sorted(wrong)[:5]}"
            )

    def _rest_of_epoch(self, steps_per_epoch):
        rest = steps_per_epoch - self.step_in_epoch
        if rest < 1:
            raise CheckpointError(
                f"The run stands at step {self.step_in_epoch} of an epoch, which is "
                f"not within an epoch of {steps_per_epoch} steps."
            )
        return {
            "initial_epoch": self.epoch,
            "epochs": self.epoch + 1,
            "steps_per_epoch": rest,
        }

    def _steps_of_model(self):
        return int(_numpy(self.model.num_steps))


def _check_run(run):
    """Refuses a record that damage without checksums may have changed."""
    counts = (run["epoch"], run["step_in_epoch"])
    if not all(type(count) is int and count >= 0 for count in counts):
        raise ValueError(f"a run can't stand at {counts}")
    if not all(isinstance(logs, dict) for logs in run["history"]):
        raise ValueError("its history holds no logs")
    if not all(isinstance(row, dict) for row in run.get("validations", [])):
        raise ValueError("its validations hold no results")
    if not all(map(_is_histogram, run["cosine_counts"])):
        raise ValueError("its histograms hold no counts")


def _is_histogram(counts):
    if counts is None:
        return True
    is_list = isinstance(counts, list) and len(counts) == NUM_BINS
    return is_list and all(isinstance(count, int | float) for count in counts)


def _first_line(error):
    return (str(error).splitlines() or [""])[0][:200]


def _state_variables(model):
    """Returns all variables that training changes, by stable names.

    Names of layers depend on the models made before; positions do not.
    """
    groups = {
        "model": model.variables,
        "optimizer": model.optimizer.variables,
        "metrics": [v for m in model.resumed_metrics() for v in m.variables],
    }
    return {
        f"{group}/{index}": variable
        for group, variables in groups.items()
        for index, variable in enumerate(variables)
    }


def _snapshot(variable):
    """The value as Orbax takes it, which the next step leaves alone."""
    if keras.config.backend() == "jax":
        return variable.value
    # A copy: the arrays of PyTorch and TensorFlow may look into the variable.
    return _numpy(variable)


def _target(variable):
    """Returns the shape, dtype and sharding that Orbax restores a value with."""
    if keras.config.backend() == "jax":
        value = variable.value
        return jax.ShapeDtypeStruct(value.shape, value.dtype, sharding=value.sharding)
    value = _numpy(variable)
    return np.empty(value.shape, value.dtype)


def _numpy(variable):
    """A copy of a variable's value, also of one that lies on several replicas."""
    tensor = keras.ops.convert_to_tensor(variable)
    return np.array(keras.ops.convert_to_numpy(tensor))


def _absolute(folder):
    """Orbax wants a whole path; that of a bucket, such as `gs://...`, is one."""
    folder = os.fspath(folder)
    return folder if is_bucket(folder) else os.path.abspath(folder)
