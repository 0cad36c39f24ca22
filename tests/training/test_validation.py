"""`evaluate` computes the losses in inference mode and changes nothing."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_vatt
from keras_vatt import losses
from tests.models.tiny import tiny_batch, tiny_vatt
from tests.training.steps import model_with, train, values_of

RANDOM = {"dropout": 0.5, "token_keep_rate": 0.5}
AUDIO_MASK = np.array([1, 1, 0, 1, 1, 0, 1, 1], "float32")
TEXT_MASK = np.array([1, 0, 1, 1, 1, 0, 1, 1], "float32")
# For each pair its sides and the clips that have both.
PAIRS = {
    "video_audio": (("video", "to_audio"), ("audio", "to_video"), AUDIO_MASK),
    "video_text": (("video", "to_text"), ("text", "to_video"), TEXT_MASK),
    "audio_text": (("audio", "to_video"), ("text", "to_video"), AUDIO_MASK * TEXT_MASK),
}


def evaluate(model, batch):
    """One batch, so that the losses are those of its outputs."""
    return model.evaluate(batch, batch_size=8, verbose=0, return_dict=True)


def as_float(scalar):
    return float(ops.convert_to_numpy(scalar))


def trained_model():
    """Statistics of batch norm differ from those of any batch."""
    model = model_with("adam", model_args=RANDOM)
    train(model, tiny_batch(seed=1))
    return model


def test_losses_are_those_of_inference_mode():
    model, batch = trained_model(), tiny_batch()
    logs = evaluate(model, batch)
    outputs = model(batch, training=False)
    loss = losses.AsymmetricNCE(temperature=0.07)
    expected = {
        f"{pair}_loss": as_float(loss(outputs[a][to_b], outputs[b][to_a]))
        for pair, ((a, to_b), (b, to_a), _) in PAIRS.items()
        if pair != "audio_text"
    }
    expected["loss"] = np.mean(list(expected.values()))
    assert logs == pytest.approx(expected, rel=1e-4)


def test_no_variable_changes():
    model = trained_model()
    before = values_of(model.variables + model.optimizer.variables)
    evaluate(model, tiny_batch())
    after = values_of(model.variables + model.optimizer.variables)
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("loss_class", [losses.AsymmetricNCE, losses.SymmetricNCE])
def test_each_loss_is_that_of_the_clips_that_have_both_sides(loss_class):
    keras.utils.set_random_seed(0)
    model = tiny_vatt("flat", bridge_head=keras_vatt.layers.JointBridgeHead(8))
    model.compile(loss=loss_class(), loss_weights=dict.fromkeys(PAIRS, 1.0))
    batch = tiny_batch()
    masks = {"audio_mask": AUDIO_MASK, "text_mask": TEXT_MASK}
    logs = evaluate(model, batch | masks)
    outputs = model(batch, training=False)
    for pair, ((a, to_b), (b, to_a), mask) in PAIRS.items():
        expected = loss_class()(outputs[a][to_b], outputs[b][to_a], mask)
        actual = logs[f"{pair}_loss"]
        assert actual == pytest.approx(as_float(expected), rel=1e-4), pair
