"""The shape of a clip is checked, and survives its config."""

import json

import pytest

from keras_vatt.data import ClipSpec

pytestmark = pytest.mark.once


def test_the_defaults_are_the_pre_training_input_of_vatt():
    spec = ClipSpec()
    assert spec.duration == pytest.approx(3.2)
    assert spec.audio_samples == 153_600
    assert spec.video_shape == (32, 224, 224, 3)


def test_samples_follow_the_seconds_of_the_frames():
    # 32 frames at 12.5 frames per second: 2.56 seconds.
    assert ClipSpec(frames_per_second=12.5).audio_samples == 122_880
    # 10 frames at 29.97 frames per second and 22,050 Hz: 7,357.36 samples.
    spec = ClipSpec(num_frames=10, frames_per_second=29.97, sampling_rate=22_050)
    assert spec.audio_samples == 7_357


def test_a_specification_is_restored_from_its_config():
    spec = ClipSpec(num_frames=8, frames_per_second=12, audio_samples=99)
    config = json.loads(json.dumps(spec.get_config()))
    assert ClipSpec.from_config(config) == spec
    assert ClipSpec.from_config(config).audio_samples == 99


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_frames", 0),
        ("num_frames", 2.0),
        ("num_frames", True),
        ("frames_per_second", 0.0),
        ("frames_per_second", float("nan")),
        ("frames_per_second", float("inf")),
        ("frames_per_second", "10"),
        ("frame_size", -1),
        ("sampling_rate", 44_100.5),
        ("audio_samples", 0),
    ],
)
def test_invalid_arguments_of_a_specification_are_refused_by_name(name, value):
    with pytest.raises(ValueError, match=name):
        ClipSpec(**{name: value})
