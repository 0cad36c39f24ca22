"""The calls of `fit` that a run has left, wherever it stands."""

import pytest

from keras_vatt.training import RunCheckpoint
from tests.training.toy import ToyModel

pytestmark = pytest.mark.once


def run_at(tmp_path, epoch, step_in_epoch=0, steps_per_epoch=5):
    """A checkpoint callback as if it had come that far."""
    checkpoint = RunCheckpoint(tmp_path / "run")
    model = ToyModel()
    model.compile("sgd")
    checkpoint.set_model(model)
    checkpoint.epoch, checkpoint.step_in_epoch = epoch, step_in_epoch
    checkpoint.steps = epoch * steps_per_epoch + step_in_epoch
    return checkpoint


def arguments(initial_epoch, epochs, steps_per_epoch):
    return {
        "initial_epoch": initial_epoch,
        "epochs": epochs,
        "steps_per_epoch": steps_per_epoch,
    }


@pytest.mark.parametrize("epoch", [0, 1])
def test_between_epochs_one_call_is_left(tmp_path, epoch):
    run = run_at(tmp_path, epoch)
    assert list(run.remaining_fits(2, 5)) == [(5 * epoch, arguments(epoch, 2, 5))]


def test_within_an_epoch_its_rest_comes_first(tmp_path):
    run = run_at(tmp_path, epoch=1, step_in_epoch=2)
    start, first = next(run.remaining_fits(3, 5))
    assert (start, first) == (7, arguments(1, 2, 3))


@pytest.mark.parametrize(("epoch", "step_in_epoch"), [(2, 0), (2, 1), (3, 4)])
def test_of_a_finished_run_nothing_is_left(tmp_path, epoch, step_in_epoch):
    run = run_at(tmp_path, epoch, step_in_epoch)
    assert list(run.remaining_fits(2, 5)) == []
