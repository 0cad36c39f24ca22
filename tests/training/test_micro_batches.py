"""Micro-batches draw masks of their own, in both passes the same ones."""

import keras
import numpy as np
import pytest

from tests.models.tiny import tiny_batch
from tests.training.steps import model_with, train, values_of
from tests.training.toy import ToyModel

MICRO_BATCHES = pytest.mark.parametrize("num_micro_batches", [2, 8])


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


@MICRO_BATCHES
@pytest.mark.parametrize("harmonizer", [None, "sum"])
def test_backward_pass_has_the_masks_of_the_forward_pass(num_micro_batches, harmonizer):
    model = ToyModel(dropout=0.5)
    model.compile(
        keras.optimizers.SGD(1.0),
        harmonizer=harmonizer,
        num_micro_batches=num_micro_batches,
        run_eagerly=keras.config.backend() == "tensorflow",
    )
    random = np.random.default_rng(0)
    names = ("first", "second")
    batch = {name: random.uniform(1, 2, (8, 3)).astype("float32") for name in names}
    logs = train(model, batch)
    for name in names:
        # A linear loss of weights that are one: the sum of its gradient.
        (kernel,) = values_of([model.kernels[name]])
        assert np.sum(1 - kernel) == pytest.approx(logs[f"{name}_loss"], rel=1e-5)
