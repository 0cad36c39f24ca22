"""Augmentation changes audio and frames as documented, and nothing else."""

import json

import numpy as np
import pytest

from keras_vatt.data import ClipAugmentation, FrameAugmentation

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


def test_the_noise_of_a_clip_does_not_depend_on_changes_of_its_frames(element):
    plain, flipped, changed = (
        ClipAugmentation(0.1, *probabilities)(element, np.random.default_rng(3))
        for probabilities in ((0.0,), (1.0,), (1.0, 1.0, 1.0))
    )
    np.testing.assert_array_equal(plain["audio"], flipped["audio"])
    np.testing.assert_array_equal(plain["audio"], changed["audio"])


def position_frames():
    """An element whose first two channels say where a pixel is."""
    row, column = np.mgrid[0:64, 0:64]
    frame = np.stack([4 * row, 4 * column, 0 * row], axis=-1).astype(np.uint8)
    return {"video": np.stack([frame, frame]), "audio": np.zeros((8, 1), np.float32)}


def test_scale_jitter_crops_one_side_to_the_ratio_of_two_factors():
    augmentation = ClipAugmentation(scale_jitter=1.0)
    sides, first_rows = [], set()
    for seed in range(300):
        video = augmentation(position_frames(), np.random.default_rng(seed))["video"]
        assert video.shape == (2, 64, 64, 3)
        np.testing.assert_array_equal(video[0], video[1])
        sides.append([np.ptp(video[0, ..., i].astype(int)) / 4 + 1 for i in (0, 1)])
        first_rows.add(int(video[0, 0, 0, 0]) // 4)
    sides = np.array(sides) / 64
    np.testing.assert_allclose(sides.max(axis=1), 1.0, atol=0.02)
    # The mean ratio of the smaller to the larger of two uniform factors.
    factors = np.random.default_rng(0).uniform(0.8, 1.2, (100_000, 2))
    expected = (factors.min(axis=1) / factors.max(axis=1)).mean()
    assert sides.min(axis=1).mean() == pytest.approx(expected, abs=0.02)
    assert 0.64 < sides.min() < 0.75
    assert 0.4 < (sides[:, 0] < sides[:, 1]).mean() < 0.6
    assert len(first_rows) > 10


def test_colors_change_as_often_as_asked_and_as_in_fine_tuning(element):
    augmentation = ClipAugmentation(noise=0.0, color_jitter=0.3)
    alone = FrameAugmentation((1, 1), (1, 1), horizontal_flip=0.0, color=1.0)
    changes = []
    for seed in range(100):
        video = augmentation(element, np.random.default_rng(seed))["video"]
        if not np.array_equal(video, element["video"]):
            changes.append(np.abs(video - element["video"].astype(float)).mean())
    assert 15 < len(changes) < 45
    others = [
        np.abs(
            alone(element["video"], np.random.default_rng(seed))
            - 1.0 * element["video"]
        ).mean()
        for seed in range(100)
    ]
    assert np.mean(changes) == pytest.approx(np.mean(others), rel=0.2)


def test_an_augmentation_is_restored_from_its_config():
    augmentation = ClipAugmentation(0.02, 0.5, 0.8, 0.7)
    config = json.loads(json.dumps(augmentation.get_config()))
    assert ClipAugmentation.from_config(config) == augmentation


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("noise", -0.1),
        ("noise", float("nan")),
        ("horizontal_flip", 1.5),
        ("horizontal_flip", -1),
        ("scale_jitter", 2.0),
        ("color_jitter", float("nan")),
    ],
)
def test_invalid_arguments_of_an_augmentation_are_refused_by_name(name, value):
    with pytest.raises(ValueError, match=name):
        ClipAugmentation(**{name: value})
