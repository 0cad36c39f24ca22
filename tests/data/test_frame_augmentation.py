"""Frames are cropped, flipped and recolored as a clip, as TensorFlow would do it."""

import json

import numpy as np
import pytest
import tensorflow as tf

from keras_vatt.data import FrameAugmentation
from keras_vatt.data._frame_augmentation import change_colors

pytestmark = pytest.mark.once

NOTHING = {
    "area": (1.0, 1.0),
    "aspect": (1.0, 1.0),
    "horizontal_flip": 0.0,
    "color": 0.0,
}


@pytest.fixture
def frames():
    return np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), np.uint8)


def gradient_frames():
    """Frames whose first two channels say where a pixel is."""
    row, column = np.mgrid[0:64, 0:64]
    frame = np.stack([4 * row, 4 * column, 0 * row], axis=-1).astype(np.uint8)
    return np.stack([frame, frame])


def test_without_any_change_the_frames_are_kept(frames):
    same = FrameAugmentation(**NOTHING)(frames, np.random.default_rng(0))
    np.testing.assert_array_equal(same, frames)


@pytest.mark.parametrize(
    ("brightness", "saturation", "contrast", "hue"),
    [(0.1, 1, 1, 0), (0, 1.4, 1, 0), (0, 0.6, 1, 0), (0, 1, 1.3, 0), (0, 1, 1, -0.2)]
    + [(-0.1, 0.7, 1.4, 0.15)],
)
def test_colors_are_tensorflows(frames, brightness, saturation, contrast, hue):
    images = tf.clip_by_value(tf.cast(frames, "float32") / 255 + brightness, 0, 1)
    images = tf.image.adjust_saturation(images, saturation)
    images = tf.clip_by_value(tf.image.adjust_contrast(images, contrast), 0, 1)
    expected = 255 * tf.image.adjust_hue(images, hue).numpy()
    actual = change_colors(frames, brightness, saturation, contrast, hue)
    assert actual.dtype == np.uint8
    assert np.abs(actual - expected).max() <= 1.0


def test_crops_have_the_sizes_and_shapes_asked_for():
    augmentation = FrameAugmentation(horizontal_flip=0.0, color=0.0)
    areas = []
    for seed in range(200):
        crop = augmentation(gradient_frames(), np.random.default_rng(seed))
        assert crop.shape == (2, 64, 64, 3)
        np.testing.assert_array_equal(crop[0], crop[1])
        # From the middles of the first and last pixels to the whole crop.
        height, width = (np.ptp(crop[0, ..., i].astype(int)) / 4 + 1 for i in (0, 1))
        areas.append(height * width / 64**2)
        assert 0.4 < width / height < 2.5
    assert 0.05 < min(areas) < 0.2
    assert max(areas) > 0.8
    assert 0.35 < np.mean(areas) < 0.6


def test_clips_are_flipped_as_often_as_asked():
    augmentation = FrameAugmentation(**NOTHING | {"horizontal_flip": 0.3})
    frames, flipped = gradient_frames(), 0
    for seed in range(300):
        video = augmentation(frames, np.random.default_rng(seed))
        if np.array_equal(video, frames[:, :, ::-1]):
            flipped += 1
        else:
            np.testing.assert_array_equal(video, frames)
    assert 60 < flipped < 120


def test_the_same_numbers_give_the_same_clip(frames):
    one, same, other = (
        FrameAugmentation()(frames, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, same)
    assert np.any(one != other)


def test_an_augmentation_is_restored_from_its_config():
    augmentation = FrameAugmentation(area=(0.2, 0.9), color=0.1)
    config = json.loads(json.dumps(augmentation.get_config()))
    assert FrameAugmentation.from_config(config) == augmentation


@pytest.mark.parametrize(
    "arguments",
    [
        {"area": (0.0, 1.0)},
        {"area": (0.5, 1.1)},
        {"aspect": (2, 1)},
        {"horizontal_flip": 1.1},
    ],
)
def test_invalid_arguments_are_refused(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        FrameAugmentation(**arguments)


def test_floats_are_refused(frames):
    with pytest.raises(ValueError, match="uint8"):
        FrameAugmentation()(frames / 255, np.random.default_rng(0))
