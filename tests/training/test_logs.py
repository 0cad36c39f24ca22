"""The logs of `fit` for known gradients."""

import keras
import numpy as np
import pytest

from keras_vatt.training import NamedMeans
from tests.training.steps import train
from tests.training.toy import ToyModel

BACKEND = keras.config.backend()


def logs_of(model, **inputs):
    """Logs of one step on batches of four equal rows of numbers."""
    model.compile(
        keras.optimizers.SGD(1.0), harmonizer="sum", run_eagerly=BACKEND == "tensorflow"
    )
    batch = {name: np.tile(np.float32(row), (4, 1)) for name, row in inputs.items()}
    return train(model, batch)


def test_orthogonal_gradients_do_not_conflict():
    logs = logs_of(ToyModel(), first=[1, 2, 3], second=[3, 0, 0])
    assert logs["gradient_cosine"] == 0
    assert logs["conflict_rate"] == 0


def test_a_loss_without_gradient_does_not_conflict():
    logs = logs_of(ToyModel(), first=[0, 0, 0], second=[3, 0, 0])
    assert logs["conflict_rate"] == 0
    assert logs["first_gradient_norm"] == 0
    assert logs["second_gradient_norm"] == pytest.approx(1)


def test_means_keep_the_name_they_were_given():
    assert NamedMeans(["loss"], name="mine").name == "mine"
