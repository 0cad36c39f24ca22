"""A run resumes from its checkpoint exactly."""

import itertools
import json
import os
import pathlib
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_vatt.training import RunCheckpoint
from tests.models.tiny import tiny_batch, tiny_vatt
from tests.training.steps import model_with, train

EPOCHS, STEPS = 3, 3


def model_of_run(optimizer="adam", seed=0):
    """With dropout, so that a lost seed shows."""
    keras.utils.set_random_seed(seed)
    model = tiny_vatt("flat", dropout=0.1)
    model.compile(
        optimizer,
        harmonizer="realign",
        run_eagerly=keras.config.backend() == "tensorflow",
    )
    return model


def batches_from(start_step):
    return ((tiny_batch(seed=step),) for step in itertools.count(start_step))


def state_of(model):
    variables = [*model.variables, *model.optimizer.variables]
    variables.append(model.num_steps)
    return [np.array(keras.ops.convert_to_numpy(v.value)) for v in variables]


def assert_same_state(model, other):
    for actual, expected in zip(state_of(model), state_of(other), strict=True):
        np.testing.assert_array_equal(actual, expected)


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory):
    """A model that was trained without an interruption, and its checkpoint."""
    model = model_of_run()
    checkpoint = RunCheckpoint(tmp_path_factory.mktemp("whole"))
    assert go_on(model, checkpoint) == [0]
    return model, checkpoint


def lose_run(folder, after, optimizer="adam"):
    checkpoint = RunCheckpoint(folder, every_steps=2)
    with pytest.raises(KeyboardInterrupt):
        go_on(model_of_run(optimizer), checkpoint, LoseAfter(after))
    checkpoint.wait()


def go_on(model, checkpoint, *callbacks, epochs=EPOCHS):
    """Train what is left; returns the first batches of the data of each `fit`."""
    start_steps = []
    checkpoint.restore(model)
    for start_step, arguments in checkpoint.remaining_fits(epochs, STEPS):
        start_steps.append(start_step)
        model.fit(
            batches_from(start_step),
            callbacks=[checkpoint, *callbacks],
            verbose=0,
            **arguments,
        )
    return start_steps


class LoseAfter(keras.callbacks.Callback):
    """Ends `fit` in the middle of a step, as a lost machine does."""

    def __init__(self, num_steps):
        super().__init__()
        self.num_steps = num_steps

    def on_train_batch_end(self, batch, logs=None):
        self.num_steps -= 1
        if self.num_steps < 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("lost_after", "start_steps"),
    [(5, [4, 6]), pytest.param(7, [6], marks=pytest.mark.once)],
)
def test_a_lost_run_comes_to_the_same_result_and_logs(
    whole_run, tmp_path, lost_after, start_steps
):
    lose_run(tmp_path, lost_after)
    again, checkpoint = model_of_run(seed=5), RunCheckpoint(tmp_path, every_steps=2)
    assert go_on(again, checkpoint) == start_steps
    assert_same_state(again, whole_run[0])
    assert checkpoint.history == whole_run[1].history
    assert len(checkpoint.history) == EPOCHS


def test_averaged_weights_do_not_get_into_the_epochs_that_follow(tmp_path):
    def adam():
        return keras.optimizers.Adam(use_ema=True, ema_momentum=0.5)

    whole = model_of_run(adam())
    go_on(whole, RunCheckpoint(tmp_path / "whole"), epochs=2)
    lose_run(tmp_path / "run", after=2, optimizer=adam())
    again = model_of_run(adam(), seed=5)
    assert go_on(again, RunCheckpoint(tmp_path / "run"), epochs=2) == [2, 3]
    assert_same_state(again, whole)


@pytest.mark.once
def test_a_stop_in_the_rest_of_an_epoch_ends_the_run(tmp_path):
    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = True

    lose_run(tmp_path, after=5)
    checkpoint = RunCheckpoint(tmp_path)
    assert go_on(model_of_run(), checkpoint, Stop()) == [4]
    assert (checkpoint.epoch, checkpoint.steps) == (2, 6)


def test_a_run_at_its_end_has_nothing_left(whole_run):
    checkpoint = RunCheckpoint(whole_run[1].folder)
    assert checkpoint.restore(model_of_run(seed=5)) == EPOCHS * STEPS
    assert list(checkpoint.remaining_fits(EPOCHS, STEPS)) == []


def checkpointed(folder, **arguments):
    """A model with a checkpoint of its first step, not written yet."""
    model = model_with("adam", harmonizer="realign")
    checkpoint = RunCheckpoint(folder, **arguments)
    checkpoint.set_model(model)
    checkpoint.steps = 1
    return model, checkpoint


def test_what_is_kept_is_the_state_at_the_save_though_training_goes_on(tmp_path):
    model, checkpoint = checkpointed(tmp_path)
    train(model, tiny_batch())
    before = state_of(model)
    checkpoint.save()
    train(model, *(tiny_batch(seed=seed) for seed in range(3)))
    again = model_with("adam", seed=5, harmonizer="realign")
    checkpoint.restore(again)
    for actual, expected in zip(state_of(again), before, strict=True):
        np.testing.assert_array_equal(actual, expected)


def test_only_the_newest_checkpoints_are_kept(tmp_path):
    _, checkpoint = checkpointed(tmp_path, keep=2)
    for steps in (1, 20, 3000):
        checkpoint.steps = steps
        checkpoint.save()
    checkpoint.wait()
    assert {path.name for path in tmp_path.iterdir()} == {"20", "3000"}


def test_nothing_is_pickled(tmp_path):
    _, checkpoint = checkpointed(tmp_path)
    checkpoint.save()
    checkpoint.wait()
    run = json.loads((tmp_path / "1" / "run" / "metadata").read_text())
    empty = {"history": [], "cosine_counts": [], "validations": []}
    assert run == {"epoch": 0, "step_in_epoch": 0, **empty}
    for file in filter(pathlib.Path.is_file, tmp_path.rglob("*")):
        # Protocols 2 and later begin with this opcode and the protocol's number.
        assert file.read_bytes()[:1] != b"\x80"


@pytest.mark.parametrize(
    "other", [{"optimizer": "sgd"}, {"optimizer": "adam", "form": "specific"}]
)
def test_a_checkpoint_of_another_model_is_refused(tmp_path, other):
    _, checkpoint = checkpointed(tmp_path)
    checkpoint.save()
    model = model_with(harmonizer="realign", **other)
    with pytest.raises(ValueError, match="of another model, optimizer"):
        checkpoint.restore(model)


def test_an_error_in_the_background_is_raised(tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError("no space left")

    _, checkpoint = checkpointed(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", full)
        checkpoint.save()
        with pytest.raises(OSError, match="no space left"):
            checkpoint.on_train_end()
    assert RunCheckpoint(tmp_path).restore(checkpoint.model) == 0


def test_a_folder_with_another_run_is_not_written_over(tmp_path):
    model, checkpoint = checkpointed(tmp_path)
    checkpoint.save()
    checkpoint.wait()
    with pytest.raises(ValueError, match="holds a run of 1 steps"):
        model.fit(
            batches_from(0),
            steps_per_epoch=1,
            callbacks=[RunCheckpoint(tmp_path)],
            verbose=0,
        )


def test_saving_within_an_epoch_needs_its_length(tmp_path):
    model, _ = checkpointed(tmp_path)
    with pytest.raises(ValueError, match="pass `steps_per_epoch`"):
        model.fit(
            batches_from(0),
            callbacks=[RunCheckpoint(tmp_path, every_steps=2)],
            verbose=0,
        )


def test_an_epoch_shorter_than_what_is_begun_of_it_is_refused(tmp_path):
    checkpoint = RunCheckpoint(tmp_path)
    checkpoint.steps, checkpoint.step_in_epoch = 5, 5
    with pytest.raises(ValueError, match="step 5 of an epoch"):
        next(checkpoint.remaining_fits(epochs=2, steps_per_epoch=5))


KILLED_WHILE_IT_SAVES = """
import os, signal, sys
sys.path.insert(0, {tests!r})
import tests.conftest
from tests.training import test_run_checkpoint

model, checkpoint = test_run_checkpoint.checkpointed({folder!r})
checkpoint.save()
checkpoint.wait()
checkpoint.steps = 2
os.rename = lambda *paths: os.kill(os.getpid(), signal.SIGKILL)
checkpoint.save()
checkpoint.wait()
"""


@pytest.mark.once
def test_a_partly_written_checkpoint_is_never_restored(tmp_path):
    tests = str(pathlib.Path(__file__).parents[2])
    code = KILLED_WHILE_IT_SAVES.format(tests=tests, folder=str(tmp_path))
    killed = subprocess.run([sys.executable, "-c", code], timeout=120)
    assert killed.returncode == -signal.SIGKILL
    left = {path.name for path in tmp_path.iterdir()}
    assert len(left) == 2
    assert left > {"1"}
    assert "2" not in left
    checkpoint = RunCheckpoint(tmp_path)
    model = model_with("adam", seed=5, harmonizer="realign")
    assert checkpoint.restore(model) == 1
    assert_same_state(model, model_with("adam", harmonizer="realign"))
    checkpoint.steps = 2
    checkpoint.save()
    checkpoint.wait()
    assert {path.name for path in tmp_path.iterdir()} == {"1", "2"}
