"""Exported towers give the model's numbers in the runtimes that they are made for."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_vatt
from keras_vatt.exporting import FORMATS, run_artifact
from tests.models.tiny import tiny_backbone, tiny_batch, tiny_vatt

SUFFIXES = {"tf_saved_model": "", "onnx": ".onnx", "litert": ".tflite", "torch": ".pt2"}
TOLERANCES = {"tf_saved_model": 1e-5, "onnx": 1e-5, "litert": 1e-4, "torch": 1e-5}
OUTPUTS = {
    "video": {"features_pooled", "to_audio", "to_text"},
    "audio": {"features_pooled", "to_video"},
    "text": {"features_pooled", "to_video"},
}
BACKEND = keras.config.backend()
OWN_FORMATS = [name for name, backends in FORMATS.items() if BACKEND in backends]


def clips_of(modality, number):
    """Arrays as a preprocessor gives them: frames of bytes, rows of words."""
    if modality == "video":
        random = np.random.default_rng(0)
        return random.integers(0, 256, (number, 4, 8, 8, 3), dtype="uint8")
    clips = tiny_batch(number)[modality]
    return clips[:, 0] if modality == "text" else clips


def with_statistics(model):
    """The model with moving statistics of batch norms that do something."""
    random = np.random.default_rng(0)
    for variable in model.non_trainable_variables:
        if "moving" in variable.path:
            variable.assign(random.uniform(0.5, 1.5, variable.shape))
    return model


def assert_same(outputs, expected, format):
    assert set(outputs) == set(expected)
    for name, array in expected.items():
        assert outputs[name].shape == array.shape
        difference = np.abs(outputs[name] - array).max() / np.abs(array).max()
        assert difference <= TOLERANCES[format], name


# With the classifiers below each stem and each encoder of both models is exported.
@pytest.mark.parametrize("format", OWN_FORMATS)
@pytest.mark.parametrize(
    ("form", "modality"),
    [
        ("agnostic", "video"),
        ("specific", "audio"),
        ("agnostic", "text"),
        ("specific", "text"),
    ],
)
def test_an_exported_tower_gives_what_the_model_encodes_of_any_number_of_clips(
    format, form, modality, tmp_path
):
    model = with_statistics(tiny_vatt(form))
    path = tmp_path / f"tower{SUFFIXES[format]}"
    clip_shape = clips_of(modality, 1).shape[1:]
    model.export(path, format, modality=modality, clip_shape=clip_shape)
    for number in (1, 3):
        clips = clips_of(modality, number)
        encoded = model.encode(**{modality: clips})[modality]
        expected = {name: encoded[name] for name in OUTPUTS[modality]}
        assert_same(run_artifact(format, path, {modality: clips}), expected, format)


@pytest.mark.parametrize("format", OWN_FORMATS)
@pytest.mark.parametrize(
    ("form", "modality"), [("specific", "video"), ("agnostic", "audio")]
)
def test_an_exported_classifier_gives_its_logits(format, form, modality, tmp_path):
    kind = {
        "video": keras_vatt.VATTVideoClassifier,
        "audio": keras_vatt.VATTAudioClassifier,
    }[modality]
    classifier = kind(tiny_backbone(form), num_classes=4)
    path = tmp_path / f"classifier{SUFFIXES[format]}"
    classifier.export(path, format)
    clips = clips_of(modality, 2)
    logits = ops.convert_to_numpy(classifier(clips))
    assert_same(
        run_artifact(format, path, {modality: clips}), {"logits": logits}, format
    )
