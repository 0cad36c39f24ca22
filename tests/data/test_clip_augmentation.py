"""Augmentation changes audio and frames as documented, and nothing else."""

import json

import numpy as np
import pytest

from keras_vatt.data import ClipAugmentation

pytestmark = pytest.mark.once


@pytest.fixture
def element():
    generator = np.random.default_rng(0)
    return {
        "video": generator.integers(0, 256, (4, 6, 6, 3), np.uint8),
        "audio": generator.uniform(-0.5, 0.5, (200_000, 1)).astype(np.float32),
        "text": np.ones((5, 16), np.int32),
    }


def test_noise_has_the_given_fraction_of_the_largest_sample(element):
    augmented = ClipAugmentation(0.05)(element, np.random.default_rng(1))
    noise = (augmented["audio"] - element["audio"]).astype(np.float64)
    largest = np.abs(element["audio"]).max()
    assert noise.std() == pytest.approx(0.05 * largest, rel=0.02)
    assert noise.mean() == pytest.approx(0.0, abs=0.001)
    assert augmented["audio"].dtype == np.float32


def test_silence_stays_silent(element):
    element["audio"] = np.zeros((100, 1), np.float32)
    augmented = ClipAugmentation()(element, np.random.default_rng(0))
    assert not augmented["audio"].any()


def test_frames_are_flipped_as_a_clip_and_as_often_as_asked(element):
    augmentation = ClipAugmentation(noise=0.0, horizontal_flip=0.3)
    flipped = 0
    for seed in range(300):
        video = augmentation(element, np.random.default_rng(seed))["video"]
        if not np.array_equal(video, element["video"]):
            np.testing.assert_array_equal(video, np.flip(element["video"], axis=2))
            flipped += 1
    assert 60 < flipped < 120


def test_by_default_left_stays_left(element):
    for seed in range(20):
        augmented = ClipAugmentation()(element, np.random.default_rng(seed))
        np.testing.assert_array_equal(augmented["video"], element["video"])
        np.testing.assert_array_equal(augmented["text"], element["text"])


def test_the_same_generator_gives_the_same_clip_and_the_input_is_kept(element):
    before = {key: value.copy() for key, value in element.items()}
    augmentation = ClipAugmentation(0.1, 0.5)
    first = augmentation(element, np.random.default_rng(7))
    second = augmentation(element, np.random.default_rng(7))
    for key, value in before.items():
        np.testing.assert_array_equal(first[key], second[key])
        np.testing.assert_array_equal(element[key], value)


def test_the_noise_of_a_clip_does_not_depend_on_flipping(element):
    plain = ClipAugmentation(0.1, horizontal_flip=0.0)(
        element, np.random.default_rng(3)
    )
    flipped = ClipAugmentation(0.1, horizontal_flip=1.0)(
        element, np.random.default_rng(3)
    )
    np.testing.assert_array_equal(plain["audio"], flipped["audio"])


def test_an_augmentation_is_restored_from_its_config():
    augmentation = ClipAugmentation(0.02, 0.5)
    config = json.loads(json.dumps(augmentation.get_config()))
    assert ClipAugmentation.from_config(config) == augmentation


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("noise", -0.1),
        ("noise", float("nan")),
        ("horizontal_flip", 1.5),
        ("horizontal_flip", -1),
    ],
)
def test_invalid_arguments_of_an_augmentation_are_refused_by_name(name, value):
    with pytest.raises(ValueError, match=name):
        ClipAugmentation(**{name: value})
