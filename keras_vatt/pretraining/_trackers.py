"""Experiment trackers of a run: trackio, and Weights & Biases."""

import contextlib
import dataclasses
import importlib
import secrets

import keras

from keras_vatt._files import write_json
from keras_vatt._untrusted import read_object
from keras_vatt.pretraining._errors import PretrainingError

TRACKED_RUN = "tracked_run.json"
_PROJECT = "keras-vatt"
_MAX_BYTES = 10_000


def import_tracker(name):
    """Imports the package of a tracker.

    Args:
        name: string, see `PretrainSettings.tracker`.

    Returns:
        The module.

    Raises:
        PretrainingError: if the package is missing.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise PretrainingError(
            f"--tracker {name} needs another package ({error}): "
            f'pip install "keras-vatt[{name}]"'
        ) from error


class Tracker(keras.callbacks.Callback):
    """Sends the settings, the logs of epochs and the validations to a tracker.

    A run that resumes continues the same tracked run, whose id is in the run's folder.
    Steps after its last checkpoint are then sent again, with the same values.

    Args:
        settings: `PretrainSettings`, with a `tracker`.
        output: `pathlib.Path` of the run.
        checkpoint: `RunCheckpoint`, an earlier callback of `fit`.
    """

    def __init__(self, settings, output, checkpoint):
        super().__init__()
        self._settings = settings
        self._output = output
        self._checkpoint = checkpoint
        self._module = import_tracker(settings.tracker)

    @contextlib.contextmanager
    def running(self):
        """Starts or continues the tracked run, and finishes it at the end.

        Raises:
            PretrainingError: if the tracker can't be used.
        """
        try:
            self._start()
        except Exception as error:
            reason = " ".join(str(error).split())
            raise PretrainingError(
                f"--tracker {self._settings.tracker} can't be started: {reason}"
            ) from error
        try:
            yield
        finally:
            self._module.finish()

    def on_epoch_end(self, epoch, logs=None):
        row = {"epoch": epoch + 1, **self._checkpoint.history[epoch]}
        self._module.log(row, step=self._checkpoint.steps)

    def log_validation(self, row):
        """Sends the results of a validation.

        Args:
            row: dict from name to number, with the `"step"`.
        """
        results = {name: value for name, value in row.items() if name != "step"}
        self._module.log(results, step=row["step"])

    def _start(self):
        run_id, name = self._run_id(), self._output.resolve().name
        # trackio finds a run by its name, Weights & Biases by its id.
        options = {"name": f"{name}-{run_id}"}
        if self._settings.tracker == "wandb":
            options = {"name": name, "id": run_id, "dir": str(self._output)}
        self._module.init(
            project=_PROJECT,
            config=dataclasses.asdict(self._settings),
            resume="allow",
            **options,
        )

    def _run_id(self):
        stored = read_object(self._output, TRACKED_RUN, PretrainingError, _MAX_BYTES)
        run_id = (stored or {}).get("id")
        if isinstance(run_id, str) and run_id.isalnum():
            return run_id
        run_id = secrets.token_hex(4)
        write_json(self._output / TRACKED_RUN, {"id": run_id})
        return run_id
