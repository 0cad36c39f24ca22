"""Masks of clips and candidates, and logged losses as means over valid clips."""

import numpy as np
import pytest

from tests.models.tiny import tiny_batch
from tests.training.steps import model_with, train

LOSSES = ("video_audio_loss", "video_text_loss")


def masked(seed, audio, text):
    masks = {"audio_mask": audio, "text_mask": text}
    return tiny_batch(seed=seed) | {n: np.float32(mask) for n, mask in masks.items()}


def halves(first):
    return np.arange(8) < 4 if first else np.arange(8) >= 2


BATCHES = [
    masked(1, audio=np.ones(8), text=np.zeros(8)),
    masked(2, audio=halves(True), text=np.ones(8)),
    masked(3, audio=np.ones(8), text=halves(False)),
]
NUM_VALID = {"video_audio_loss": [8, 4, 8], "video_text_loss": [0, 8, 6]}


def arrays():
    return {name: np.concatenate([b[name] for b in BATCHES]) for name in BATCHES[0]}


def expected_losses(per_batch):
    """Means over the valid clips, and the total that they make."""
    means = {
        name: np.average(
            np.nan_to_num([logs[name] for logs in per_batch]), weights=counts
        )
        for name, counts in NUM_VALID.items()
    }
    return means | {"loss": (means[LOSSES[0]] + means[LOSSES[1]]) / 2}


@pytest.mark.parametrize("harmonizer", [None, "sum"])
def test_training_losses_are_means_over_valid_clips(harmonizer):
    # The optimizer changes nothing, so that all batches meet the same weights; batch
    # norm takes the statistics of the batch.
    still = model_with("sgd", harmonizer=harmonizer)
    still.optimizer.learning_rate = 0.0
    per_batch = [train(still, batch) for batch in BATCHES]
    assert np.isnan(per_batch[0]["video_text_loss"])
    assert per_batch[0]["loss"] == pytest.approx(per_batch[0]["video_audio_loss"] / 2)
    history = still.fit(arrays(), batch_size=8, shuffle=False, verbose=0).history
    for name, value in expected_losses(per_batch).items():
        assert history[name] == [pytest.approx(value, rel=1e-5)], name
    if harmonizer:
        norms = [logs["video_text_gradient_norm"] for logs in per_batch[1:]]
        assert history["video_text_gradient_norm"] == [pytest.approx(np.mean(norms))]
        cosines = [logs["gradient_cosine"] for logs in per_batch[1:]]
        assert history["gradient_cosine"] == [pytest.approx(np.mean(cosines), abs=1e-5)]


def test_validation_losses_are_means_over_valid_clips():
    model = model_with()
    per_batch = []
    for batch in BATCHES:
        model.reset_metrics()
        per_batch.append(model.test_on_batch(batch, return_dict=True))
    per_batch = [{n: float(value) for n, value in logs.items()} for logs in per_batch]
    logs = model.evaluate(arrays(), batch_size=8, return_dict=True, verbose=0)
    for name, value in expected_losses(per_batch).items():
        assert logs[name] == pytest.approx(value, rel=1e-5), name


def test_candidates_with_a_mask_of_their_own_count_or_vanish():
    model = model_with()
    batch = tiny_batch(candidates=3)
    mask = np.ones((8, 3), "float32")
    mask[:, 2] = 0
    two = batch | {"text": batch["text"][:, :2]}
    values = []
    for given in (batch | {"text_mask": mask}, two, batch):
        model.reset_metrics()
        logs = model.test_on_batch(given, return_dict=True)
        values.append(float(logs["video_text_loss"]))
    assert values[0] == pytest.approx(values[1], rel=1e-5)
    assert values[0] != pytest.approx(values[2], rel=2e-5)


@pytest.mark.parametrize(
    ("name", "shape"),
    [("audio_mask", (8, 2)), ("text_mask", (8, 3)), ("text_mask", (8, 2, 1))],
)
def test_masks_of_another_shape_are_refused(name, shape):
    model = model_with()
    batch = tiny_batch() | {name: np.ones(shape, "float32")}
    with pytest.raises(ValueError, match="must have the shape"):
        model.evaluate(batch, verbose=0)


def test_masks_are_rounded():
    model = model_with()
    logs = []
    for mask in (np.float32([0.9, 0.1] * 4), np.array([True, False] * 4)):
        model.reset_metrics()
        batch = tiny_batch() | {"audio_mask": mask, "text_mask": mask}
        logs.append(model.test_on_batch(batch, return_dict=True))
    for name in LOSSES:
        assert float(logs[0][name]) == float(logs[1][name])
        assert 0 < float(logs[0][name]) < 100
