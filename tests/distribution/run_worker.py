"""One process of a run on several devices, for `test_runs_on_devices.py`.

Usage: `run_worker.py OPTIONS`, where the options are a JSON object.
"""

import json
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))

import jax
import keras
import numpy as np

import keras_vatt
from keras_vatt._keras_internals import without_tensorflow
from keras_vatt.data import make_dataset
from keras_vatt.pretraining._devices import DeviceScope
from keras_vatt.pretraining._evaluated_model import EvaluatedModel
from keras_vatt.training import RunCheckpoint
from tests.models.tiny import tiny_batch, tiny_vatt

CLIPS, BATCH, EPOCHS, STEPS = 24, 8, 3, 3


class Clips:
    """A source of random clips."""

    report = None

    def __len__(self):
        return CLIPS

    def clip(self, index, epoch):
        return {name: array[0] for name, array in tiny_batch(1, seed=index).items()}


class StepLosses(keras.callbacks.Callback):
    """Appends the number and the loss of each step to a file."""

    def __init__(self, path):
        super().__init__()
        self.path = path

    def on_train_batch_begin(self, batch, logs=None):
        self.before = self.total_loss()

    def on_train_batch_end(self, batch, logs=None):
        step = int(self.model.num_steps)
        row = {"step": step, "loss": self.total_loss() - self.before}
        if jax.process_index() == 0:
            with open(self.path, "a") as file:
                file.write(json.dumps(row) + "\n")

    def total_loss(self):
        totals = self.model.step_metrics.totals
        return float(keras.ops.convert_to_numpy(totals)[0])


class HangBefore(keras.callbacks.Callback):
    """Keeps a process busy at a step, for the test to kill it there."""

    def __init__(self, step, mark):
        super().__init__()
        self.step = step
        self.mark = pathlib.Path(mark)

    def on_train_batch_begin(self, batch, logs=None):
        if int(self.model.num_steps) + 1 == self.step:
            self.mark.touch()
            time.sleep(600)


def train(folder, losses, process, port, num_processes=2, hang_before=None, mark=None):
    """Train as one of some processes, from the newest checkpoint on."""
    if num_processes > 1:
        # What `keras.distribution.initialize` calls; it passes no time limits on.
        jax.distributed.initialize(
            f"127.0.0.1:{port}",
            num_processes=num_processes,
            process_id=process,
            heartbeat_timeout_seconds=10,
            shutdown_timeout_seconds=10,
        )
    keras.distribution.set_distribution(
        keras.distribution.DataParallel(auto_shard_dataset=False)
    )
    model = make_model()
    checkpoint = RunCheckpoint(folder, every_steps=2)
    callbacks = [checkpoint, StepLosses(losses)]
    if hang_before is not None:
        callbacks.append(HangBefore(hang_before, mark))
    checkpoint.restore(model)
    for start_step, arguments in checkpoint.remaining_fits(EPOCHS, STEPS):
        dataset = make_dataset(
            Clips(),
            BATCH,
            training=True,
            start_step=start_step,
            num_workers=1,
            shard_index=process,
            shard_count=num_processes,
        )
        model.fit(dataset, callbacks=callbacks, verbose=0, **arguments)


def collect(process, port, num_processes=2):
    """Bring a model that is cut over the devices of all processes to one device.

    Its record is void once it has changed, and no process waits for another.
    """
    jax.distributed.initialize(
        f"127.0.0.1:{port}", num_processes=num_processes, process_id=process
    )
    model = make_model([1, jax.device_count()])
    parts = [v for v in model.variables if not v.value.is_fully_addressable]
    assert any(not v.value.is_fully_replicated for v in parts)
    if process == 0:
        model.provenance = keras_vatt.Provenance(source="here")
        assert model.provenance.source == "here"
    random, values = np.random.default_rng(0), []
    for variable in model.variables:
        values.append(random.integers(1, 100, variable.shape).astype(variable.dtype))
        variable.assign(values[-1])
    if process == 0:
        assert model.provenance.source == "trained further from here"
    scope = DeviceScope(keras.distribution.distribution().scope)
    keras.distribution.set_distribution(None)
    alone = EvaluatedModel(scope).update(model)
    for variable, value in zip(alone.variables, values, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


def save(folder, mesh, values):
    """Save a run of random values."""
    model = make_model(mesh)
    random = np.random.default_rng(0)
    for variable in state_of(model):
        variable.assign(random.integers(1, 100, variable.shape) / 7)
    checkpoint = RunCheckpoint(folder)
    checkpoint.set_model(model)
    checkpoint.steps = 1
    checkpoint.save()
    checkpoint.wait()
    write_values(model, values)


def restore(folder, mesh, values):
    """Put a run into a model that lies otherwise, and train a step."""
    model = make_model(mesh)
    places = [variable.value.sharding for variable in state_of(model)]
    RunCheckpoint(folder).restore(model)
    assert [variable.value.sharding for variable in state_of(model)] == places
    write_values(model, values)
    history = model.fit(
        make_dataset(Clips(), BATCH, training=True, num_workers=1),
        steps_per_epoch=1,
        verbose=0,
    )
    assert np.isfinite(history.history["loss"]).all()


def make_model(mesh=None):
    """A model on a mesh of `(data, model)` devices, or where Keras puts it."""
    if mesh is not None:
        devices = keras.distribution.DeviceMesh(mesh, ("batch", "model"))
        layouts = keras.distribution.LayoutMap(devices)
        layouts[".*stem.*kernel"] = (None, "model")
        keras.distribution.set_distribution(
            keras.distribution.ModelParallel(layout_map=layouts)
        )
    with without_tensorflow():
        keras.utils.set_random_seed(0)
    model = tiny_vatt("flat", dropout=0.1)
    # With a smaller epsilon, Adam makes rounding errors as large as its steps.
    model.compile(keras.optimizers.Adam(epsilon=1e-3), harmonizer="realign")
    return model


def state_of(model):
    return [*model.variables, *model.optimizer.variables, *model.metrics_variables]


def write_values(model, path):
    values = [keras.ops.convert_to_numpy(v.value) for v in state_of(model)]
    np.savez(path, **{str(index): value for index, value in enumerate(values)})


if __name__ == "__main__":
    options = json.loads(sys.argv[1])
    tasks = {"train": train, "collect": collect, "save": save, "restore": restore}
    tasks[options.pop("task")](**options)
