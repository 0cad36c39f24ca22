"""Micro-batches draw masks of their own, in both passes the same ones."""

import keras
import numpy as np
import pytest

from tests.models.tiny import tiny_batch
from tests.training.steps import model_with, train, values_of
from tests.training.toy import ToyModel


def one_clip_over_and_over(batch_size=8):
    batch = tiny_batch(batch_size, candidates=1)
    return {name: np.repeat(rows[:1], batch_size, 0) for name, rows in batch.items()}


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_each_micro_batch_has_dropout_masks_of_its_own(dropout):
    # Clips that are all alike can't be told apart: the loss is the logarithm of the
    # number of candidates, unless dropout makes them differ.
    model = model_with(
        model_args={"dropout": dropout, "token_keep_rate": 1.0}, num_micro_batches=8
    )
    logs = train(model, one_clip_over_and_over())
    alike = np.log(2 * 8)
    for name in ("video_audio_loss", "video_text_loss"):
        differ = abs(logs[name] - alike) > 0.05
        assert differ == (dropout > 0), (name, logs[name])


def trained_with_dropout(harmonizer, num_micro_batches, batch):
    """Returns a toy model after one step of SGD with rate 1, and the step's logs."""
    model = ToyModel(dropout=0.5)
    model.compile(
        keras.optimizers.SGD(1.0),
        harmonizer=harmonizer,
        num_micro_batches=num_micro_batches,
        run_eagerly=keras.config.backend() == "tensorflow",
    )
    return model, train(model, batch)


@pytest.mark.parametrize("num_micro_batches", [1, 2, 8])
@pytest.mark.parametrize("harmonizer", [None, "sum"])
def test_masks_differ_between_branches_and_are_repeated_in_the_backward_pass(
    num_micro_batches, harmonizer
):
    # Both branches have the same inputs and go through one dropout layer.
    rows = np.random.default_rng(0).uniform(1, 2, (8, 3)).astype("float32")
    batch = {"first": rows, "second": rows}
    model, logs = trained_with_dropout(harmonizer, num_micro_batches, batch)
    first, second = values_of(model.kernels.values())
    assert np.any(first != second)
    for name, kernel in (("first", first), ("second", second)):
        # A linear loss of weights that are one: the sum of its gradient.
        assert np.sum(1 - kernel) == pytest.approx(logs[f"{name}_loss"], rel=1e-5)
