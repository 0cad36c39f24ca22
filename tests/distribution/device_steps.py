"""Helpers of the tests of several devices."""

import functools

import keras
import numpy as np
import pytest

from tests.models.tiny import tiny_batch
from tests.training.steps import flat, model_with

BATCH_SIZE = 16


def batch_with(seed=0, poison=False, size=BATCH_SIZE):
    batch = tiny_batch(size, seed=seed)
    batch["text_mask"] = (np.arange(size) % 4 != 2).astype("float32")
    if poison:
        batch["video"][3] = np.nan
    return batch


def spread_model(**arguments):
    """A model with weights like those of a trained one.

    With its first weights all clips are nearly the same to it, and batch norm divides
    rounding errors by next to nothing.
    """
    arguments.setdefault("optimizer", keras.optimizers.Adam(epsilon=1e-3))
    model = model_with(**arguments)
    random = np.random.default_rng(0)
    for variable in model.trainable_variables:
        noise = 0.2 * random.normal(size=variable.shape).astype("float32")
        variable.assign(variable + noise)
    return model


def assert_same_step(actual, expected, log_tolerance):
    """Logs within 1e-5 or an absolute tolerance, all variables within 1e-5."""
    logs, state = actual
    expected_logs, expected_state = expected
    assert logs == pytest.approx(expected_logs, rel=1e-5, abs=log_tolerance)
    distance = np.linalg.norm(flat(state) - flat(expected_state))
    assert distance < 1e-5 * np.linalg.norm(flat(expected_state))


@functools.cache
def four_replicas():
    """Returns the strategy of four logical devices, on TensorFlow."""
    import tensorflow as tf

    # One a process: each numbers its exchanges from 0, and TensorFlow takes those of
    # the same number for the same.
    return tf.distribute.MirroredStrategy([f"CPU:{index}" for index in range(4)])
