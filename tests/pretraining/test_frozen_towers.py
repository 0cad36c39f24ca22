"""A run can keep the weights of some modalities of its preset."""

import pytest

import keras_vatt
from keras_vatt.data import ClipSpec
from keras_vatt.pretraining import PretrainingError, PretrainSettings
from keras_vatt.pretraining._model import make_model
from tests.models.tiny import tiny_vatt

pytestmark = pytest.mark.once

SPEC = ClipSpec(num_frames=4, frame_size=8, sampling_rate=960, audio_samples=96)


def model_of_a_run(folder, form, **settings):
    words = keras_vatt.VATTTokenizer.from_captions(["a red star"])
    model = tiny_vatt(form)
    model.save_to_preset(folder)
    settings = PretrainSettings(
        data="demo", output="run", initialize_from=str(folder), **settings
    )
    return make_model(settings, SPEC, words)


def test_frozen_modalities_and_no_others_are_not_trained(tmp_path):
    model = model_of_a_run(tmp_path / "preset", "specific", freeze="text+Audio")
    trained = {id(variable) for variable in model.trainable_variables}
    for modality, layers in (
        (m, model.backbone.modality_layers(m).values())
        for m in ("video", "audio", "text")
    ):
        weights = [weight for layer in layers for weight in layer.weights]
        num_trained = sum(id(weight) in trained for weight in weights)
        assert (num_trained > 0) == (modality == "video")
    assert len(model.bridge_head.trainable_variables) > 0


def test_a_model_that_was_trained_with_frozen_modalities_is_saved_as_usual(tmp_path):
    model = model_of_a_run(tmp_path / "preset", "specific", freeze="text")
    plain = model_of_a_run(tmp_path / "preset", "specific")
    model.save_to_preset(tmp_path / "trained")
    loaded = keras_vatt.VATT.from_preset(tmp_path / "trained")
    assert len(loaded.trainable_variables) == len(plain.trainable_variables)


@pytest.mark.parametrize(
    ("form", "settings", "message"),
    [
        ("agnostic", {"freeze": "text"}, "one encoder for all modalities"),
        ("specific", {"freeze": "text+image"}, "no 'image'; its modalities are video"),
        ("specific", {"freeze": ""}, "the preset has no ''"),
    ],
)
def test_what_cannot_be_frozen_is_refused(tmp_path, form, settings, message):
    with pytest.raises(PretrainingError, match=message):
        model_of_a_run(tmp_path / "preset", form, **settings)


def test_random_weights_are_not_frozen():
    settings = PretrainSettings(
        data="demo", output="run", preset="vatt_tiny_specific", freeze="text"
    )
    words = keras_vatt.VATTTokenizer.from_captions(["a red star"])
    with pytest.raises(PretrainingError, match="give the preset by --initialize-from"):
        make_model(settings, ClipSpec(), words)
