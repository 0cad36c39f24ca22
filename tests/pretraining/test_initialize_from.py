"""A run can start from the architecture, weights and vocabulary of a preset."""

import numpy as np
import pytest

import keras_vatt
from keras_vatt.data import ClipSpec
from keras_vatt.data._manifest import Segment
from keras_vatt.pretraining import PretrainingError, PretrainSettings, resolve_settings
from keras_vatt.pretraining._corpus import RunData, SegmentData
from keras_vatt.pretraining._model import (
    choose_clip_spec,
    make_model,
    make_tokenizer,
    preset_preprocessor,
)
from tests.models.tiny import tiny_vatt
from tests.training.steps import values_of

SPEC = ClipSpec(num_frames=4, frame_size=8, sampling_rate=960, audio_samples=96)
GIVEN = {"data": "demo", "output": "run"}


@pytest.fixture
def preset(tmp_path):
    """The folder of a model with weights and a vocabulary, and its weights."""
    words = keras_vatt.VATTTokenizer.from_captions(["a red star"])
    model = tiny_vatt("specific")
    model.preprocessor = keras_vatt.VATTPreprocessor.from_clip_spec(SPEC, words)
    model.save_to_preset(tmp_path / "preset")
    return str(tmp_path / "preset"), values_of(model.weights)


def start(settings):
    """Makes the spec, the tokenizer and the model of a run on other captions."""
    preprocessor = preset_preprocessor(settings)
    spec = choose_clip_spec(settings, preprocessor)
    segments = [Segment("clip.mp4", 0.0, 1.0, "a green circle")]
    data = RunData((SegmentData(segments, [], []),), (1.0,))
    tokenizer = make_tokenizer(settings, preprocessor, data)
    return spec, tokenizer, make_model(settings, spec, tokenizer)


def test_a_run_starts_from_architecture_weights_and_vocabulary(preset):
    folder, weights = preset
    settings = PretrainSettings(**GIVEN, initialize_from=folder)
    spec, tokenizer, model = start(settings)
    assert spec == SPEC
    assert {"red", "star"} < set(tokenizer.vocabulary)
    for actual, expected in zip(values_of(model.weights), weights, strict=True):
        np.testing.assert_array_equal(actual, expected)


def test_a_preset_alone_gives_the_architecture(preset):
    folder, weights = preset
    _, tokenizer, model = start(PretrainSettings(**GIVEN, preset=folder))
    assert {"green", "circle"} < set(tokenizer.vocabulary)
    assert "red" not in tokenizer.vocabulary
    assert model.backbone.modality_layers("video").keys() == {"stem", "encoder"}
    kernel = values_of(model.bridge_head.variables)[0]
    assert not any(np.array_equal(kernel, weight) for weight in weights)


@pytest.mark.once
def test_it_replaces_the_preset_of_a_recipe():
    settings = resolve_settings(GIVEN | {"initialize_from": "mine"}, "paper")
    assert settings.starting_preset == "mine"
    assert resolve_settings(GIVEN, "paper").starting_preset == "vatt_medium_agnostic"


@pytest.mark.once
def test_a_second_architecture_is_refused(tmp_path):
    both = {"initialize_from": "mine", "preset": "vatt_tiny_specific"}
    with pytest.raises(PretrainingError, match="leave out --preset vatt_tiny_spec"):
        resolve_settings(GIVEN | both)
    recipe = tmp_path / "mine.toml"
    recipe.write_text('initialize_from = "mine"')
    given = GIVEN | {"preset": "vatt_tiny_specific"}
    with pytest.raises(PretrainingError, match="leave out --preset vatt_tiny_spec"):
        resolve_settings(given, str(recipe))
    assert resolve_settings(GIVEN | dict.fromkeys(both, "mine")).preset == "mine"
