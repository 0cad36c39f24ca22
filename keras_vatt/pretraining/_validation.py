"""Validation of a run on held-out clips, with early stopping and the best weights."""

import math
import sys

import keras
from keras import ops

from keras_vatt._os_errors import os_errors_at
from keras_vatt.data import make_dataset
from keras_vatt.evaluation._clip_sets import some_of
from keras_vatt.pretraining._devices import flag_of_first_process, is_first_process
from keras_vatt.pretraining._errors import PretrainingError
from keras_vatt.pretraining._monitor import Monitor
from keras_vatt.pretraining._report import save_table, validated_provenance
from keras_vatt.pretraining._settings import VAL_LOSS
from keras_vatt.pretraining._validation_results import result_names, validation_results

BEST = "best"
VALIDATIONS = "validation.csv"
_BATCH = 32


class Validation(keras.callbacks.Callback):
    """Evaluates the model every `settings.validation_steps` steps.

    It draws no random numbers and changes no variable of the model, its optimizer and
    its metrics, so that training is the same without it. The results are kept in the
    checkpoints of the run: those after the last checkpoint are computed again.

    Args:
        settings: `PretrainSettings`.
        model: compiled `keras_vatt.VATT`.
        clips: the held-out clips, `CachedClips` or `ClipSource`.
        checkpoint: `RunCheckpoint`, a later callback of `fit`.
        evaluated: `EvaluatedModel`.
        output: `pathlib.Path` of the run.
        listeners: list of functions that get the dict of the results of each
            validation in the first process, such as loggers. Defaults to `()`.

    Raises:
        PretrainingError: if no clip is held out, or `settings.monitor` is unknown.
    """

    def __init__(
        self, settings, model, clips, checkpoint, evaluated, output, listeners=()
    ):
        super().__init__()
        if not len(clips):
            raise PretrainingError(
                "--validation-steps needs held-out clips: give a larger "
                "--test-fraction, or a corpus with a test split"
            )
        self._settings = settings
        self._clips = _EvenlyChosen(clips, settings.validation_clips)
        self._checkpoint = checkpoint
        self._evaluated = evaluated
        self._output = output
        self._listeners = listeners
        names = result_names(model)
        self._monitor = Monitor(settings.monitor, settings.patience, names)

    @property
    def is_over(self):
        """Returns whether early stopping has ended the run."""
        return self._monitor.is_over(self._checkpoint.validations)

    def on_epoch_begin(self, epoch, logs=None):
        steps = ops.convert_to_tensor(self.model.num_steps)
        self._steps_before = int(ops.convert_to_numpy(steps))

    def on_train_batch_end(self, batch, logs=None):
        step = self._steps_before + batch + 1
        if step % self._settings.validation_steps:
            return
        # On JAX, reading `self.model` puts the weights of this step into it.
        encoder = self._evaluated.update(self.model)
        if is_first_process():
            self._validate(step, encoder)
        if flag_of_first_process(self.is_over):
            self.model.stop_training = True

    def _validate(self, step, encoder):
        results = self._evaluated.scope.outside(self._results, encoder)
        name = self._settings.monitor
        if math.isnan(results[name]) and not math.isnan(results[VAL_LOSS]):
            raise PretrainingError(
                f"--monitor {name}: no held-out clip has what it is computed from"
            )
        row = {"step": step, **results}
        rows = [*self._checkpoint.validations, row]
        is_best = self._monitor.best(rows) is row
        with os_errors_at(self._output):
            if is_best:
                encoder.provenance = validated_provenance(self._settings, row)
                self._evaluated.scope.outside(
                    encoder.save_to_preset, self._output / BEST
                )
            save_table(rows, self._output / VALIDATIONS)
        self._checkpoint.validations = rows
        for listener in self._listeners:
            listener(row)
        self._print(row, is_best)

    def _results(self, encoder):
        num_workers = self._settings.num_workers
        dataset = make_dataset(
            self._clips, _BATCH, training=False, num_workers=num_workers
        )
        batch_size = self._settings.batch_size
        return validation_results(self.model, encoder, dataset, batch_size)

    def _print(self, row, is_best):
        # A progress bar leaves the cursor in its line.
        start = "\n" if sys.stdout.isatty() else ""
        best = f", the best {self._settings.monitor}" if is_best else ""
        print(f"{start}validation at step {_summary(row)}{best}", flush=True)
        if self.is_over:
            step = (self._monitor.best(self._checkpoint.validations) or row)["step"]
            print(
                f"stopped early: {self._settings.monitor} has not improved in "
                f"{self._settings.patience} validations since step {step}",
                flush=True,
            )


class ValidationCurves:
    """Writes the results of validations to TensorBoard.

    Args:
        folder: `pathlib.Path`, that of `keras.callbacks.TensorBoard`.
    """

    def __init__(self, folder):
        self._folder = folder
        self._writer = None

    def __call__(self, row):
        """Writes the results of one validation."""
        # Imported here, as on other backends only the logs need it.
        import tensorflow as tf

        if self._writer is None:
            self._writer = tf.summary.create_file_writer(str(self._folder / "held_out"))
        with self._writer.as_default():
            for name, value in row.items():
                if name != "step":
                    tf.summary.scalar(name, value, step=row["step"])
        self._writer.flush()


class _EvenlyChosen:
    """Some clips of a source, evenly chosen: neighbors are often of one video."""

    def __init__(self, source, limit):
        self._source = source
        self._indices = some_of(range(len(source)), limit)
        self.on_error = getattr(source, "on_error", "skip")

    def __len__(self):
        return len(self._indices)

    def clip(self, index, epoch=0):
        return self._source.clip(int(self._indices[index]), epoch)


def _summary(row):
    """Returns the results of a validation in one line."""
    parts = [f"{row['step']}: {VAL_LOSS} {row[VAL_LOSS]:.4f}"]
    tasks = dict.fromkeys(name.split("/")[0] for name in row if "/" in name)
    for task in tasks:
        recalls = " ".join(
            f"R@{k} {row[f'{task}/recall_at_{k}']:.3f}" for k in (1, 5, 10)
        )
        parts.append(f"{task} {recalls} MedR {row[f'{task}/median_rank']:.1f}")
    return "; ".join(parts)
