"""Checkpoints from which an interrupted training run goes on as if nothing happened."""

import json
import os
import pathlib
import shutil

import keras
import safetensors.numpy

_STATE = "state.safetensors"
_HISTORY = "history.json"
_PREFIX = "epoch-"


class RunCheckpoint(keras.callbacks.Callback):
    """Keeps all that a run is at the end of every epoch.

    That is: the weights, the optimizer's slots and iterations, batch-norm
    statistics, the state of all seed generators, the number of steps that the
    thresholds of a harmonizer read, and the history of logs. (`.weights.h5` and
    `keras.callbacks.BackupAndRestore` leave out seeds and write in place: a kill
    while they write leaves neither the old nor the new state.)

    A checkpoint is written aside and renamed when it is complete. What the data
    pipeline needs to go on is the number of steps, see `start_step` of
    `keras_vatt.data.make_dataset`.

    Args:
        folder: str or path, where the checkpoints are kept, one folder each.
        keep: int, how many of the newest are kept. Defaults to `2`.

    Example:
    ```python
    checkpoint = keras_vatt.training.RunCheckpoint("runs/x/checkpoints")
    first_epoch = checkpoint.restore(model)  # 0 if there is none yet
    dataset = make_dataset(source, 64, training=True, start_step=first_epoch * 100)
    model.fit(
        dataset,
        initial_epoch=first_epoch,
        epochs=10,
        steps_per_epoch=100,
        callbacks=[checkpoint],
    )
    checkpoint.history  # list of the logs of all 10 epochs
    ```
    """

    def __init__(self, folder, keep=2):
        super().__init__()
        self.folder = pathlib.Path(folder)
        self.keep = keep
        self.history = []

    def on_epoch_end(self, epoch, logs=None):
        logs = {name: float(value) for name, value in (logs or {}).items()}
        self.history = [*self.history[:epoch], logs]
        self.save(epoch + 1)

    def save(self, num_epochs):
        """Write a checkpoint of the model after so many epochs."""
        complete = self.folder / f"{_PREFIX}{num_epochs:06d}"
        partial = self.folder / f".partial-{complete.name}"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        state = {
            name: keras.ops.convert_to_numpy(variable.value)
            for name, variable in _state_variables(self.model).items()
        }
        safetensors.numpy.save_file(state, partial / _STATE)
        (partial / _HISTORY).write_text(json.dumps(self.history), encoding="utf-8")
        for file in partial.iterdir():
            _flush_to_disk(file)
        shutil.rmtree(complete, ignore_errors=True)
        os.replace(partial, complete)
        for old in self._complete()[: -self.keep]:
            shutil.rmtree(old)

    def restore(self, model):
        """Put the newest checkpoint into a compiled model of the same form.

        Args:
            model: a compiled `keras_vatt.training.HarmonizedModel`.

        Returns:
            int, the number of epochs that it has been trained; `0` if there is
            no checkpoint.

        Raises:
            ValueError: if the checkpoint is of another model or optimizer.
        """
        checkpoints = self._complete()
        if not checkpoints:
            return 0
        newest = checkpoints[-1]
        state = safetensors.numpy.load_file(newest / _STATE)
        variables = _state_variables(model)
        wrong = set(state) ^ set(variables) or {
            name for name in state if state[name].shape != tuple(variables[name].shape)
        }
        if wrong:
            raise ValueError(
                f"The checkpoint {str(newest)!r} is of another model, optimizer or "
                f"version. What differs, among others: {sorted(wrong)[:5]}"
            )
        for name, variable in variables.items():
            variable.assign(state[name])
        self.history = json.loads((newest / _HISTORY).read_text("utf-8"))
        return int(newest.name.removeprefix(_PREFIX))

    def _complete(self):
        return sorted(self.folder.glob(f"{_PREFIX}*"))


def _state_variables(model):
    """All variables that a run changes, by names that a run keeps.

    Names of layers count up within a process; places do not.
    """
    rooms = {
        "model": model.variables,
        "optimizer": model.optimizer.variables,
        "num_steps": [model.step_metrics.num_steps],
    }
    return {
        f"{room}/{index}": variable
        for room, variables in rooms.items()
        for index, variable in enumerate(variables)
    }


def _flush_to_disk(path):
    with path.open("rb+") as file:
        os.fsync(file.fileno())
