"""The presets that come with the package are the published sizes."""

import numpy as np
import pytest

import keras_vatt
from keras_vatt.models import describe_presets
from keras_vatt.storage import PresetError, PresetFolder

# Those of the original code's models, heads and word table included.
PUBLISHED = {
    "vatt_medium_agnostic": 182_653_696,
    "vatt_bbs_specific": 213_540_652,
    "vatt_mbs_specific": 280_569_132,
    "vatt_lbs_specific": 431_723_820,
}
TINY = ("vatt_tiny_agnostic", "vatt_tiny_specific")


def test_the_built_in_presets_are_listed():
    presets = describe_presets()
    assert set(presets) == {
        *PUBLISHED,
        *TINY,
        "vatt_base_agnostic",
        "vatt_large_agnostic",
    }
    assert all(preset["description"] for preset in presets.values())
    assert {name: presets[name]["parameters"] for name in PUBLISHED} == PUBLISHED


@pytest.mark.parametrize("name", TINY)
def test_a_tiny_preset_takes_the_clips_that_it_is_for(name):
    model = keras_vatt.VATT.from_preset(name, load_weights=False)
    assert model.count_params() == describe_presets()[name]["parameters"]
    spec = model.preprocessor.clip_spec
    outputs = model.encode(
        video=np.zeros((1, *spec.video_shape), np.uint8),
        audio=np.zeros((1, spec.audio_samples, 1), np.float32),
    )
    assert outputs["video"]["to_audio"].shape == outputs["audio"]["to_video"].shape


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_preset_is_for_the_clips_of_the_paper(name):
    spec = PresetFolder(name).load_preprocessor().clip_spec
    assert spec.video_shape == (32, 224, 224, 3)
    assert spec.audio_samples == 153_600


def test_a_preset_without_weights_says_how_to_get_them():
    with pytest.raises(PresetError, match="keras-vatt convert") as caught:
        keras_vatt.VATT.from_preset("vatt_tiny_agnostic")
    assert "load_weights=False" in str(caught.value)
