"""A model encodes clips of several lengths in turn, on every backend."""

import keras
import numpy as np
import pytest

from tests.models.classifiers import tiny_classifier
from tests.models.tiny import NO_RANDOMNESS, tiny_batch, tiny_vatt

LENGTHS = (96, 64, 96, 48)


def clips_of(length):
    return tiny_batch(3)["audio"][:, :length]


@pytest.fixture(scope="module")
def model():
    return tiny_vatt(**NO_RANDOMNESS)


def called(model, clips):
    embeddings = model({"audio": clips}, training=False)["audio"]["to_video"]
    return keras.ops.convert_to_numpy(embeddings)


def encoded(model, clips):
    return model.encode(audio=clips)["audio"]["to_video"]


def extracted(model, clips):
    return model.extract_features("audio", clips, output="to_video")[:, 0]


@pytest.mark.parametrize("run", [encoded, extracted], ids=["encode", "extract"])
def test_embeddings_of_a_second_length_are_those_of_the_call(run, model):
    for length in LENGTHS:
        clips = clips_of(length)
        expected = called(model, clips)
        np.testing.assert_allclose(run(model, clips), expected, rtol=1e-4, atol=1e-5)


def test_a_classifier_predicts_a_second_length():
    classifier = tiny_classifier("audio")
    for length in LENGTHS:
        logits = classifier(clips_of(length), training=False)
        expected = keras.ops.convert_to_numpy(logits)
        actual = classifier.predict(clips_of(length), verbose=0)
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


def test_a_second_length_is_encoded_with_weights_that_were_quantized_since():
    quantized = tiny_vatt(**NO_RANDOMNESS)
    for length in LENGTHS[:2]:
        encoded(quantized, clips_of(length))
    quantized.quantize("int8")
    for length in LENGTHS[:2]:
        clips = clips_of(length)
        expected = called(quantized, clips)
        actual = encoded(quantized, clips)
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)
