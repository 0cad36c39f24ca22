"""Training takes random windows of long clips, evaluation the middle."""

import keras
import numpy as np
import pytest

from keras_vatt.data import MediaSegment, encode_clip
from tests.models.classifiers import SPEC, tiny_classifier, wav_bytes

RATE = SPEC.sampling_rate
LONG = 960  # Ten clips.


def ramp():
    """Returns a waveform whose samples are their positions, as fractions."""
    return np.linspace(0.0, 1.0, LONG, endpoint=False).astype("float32")


def recorded(model):
    """Records the batches that a model gets, by the name of the step."""
    seen = {"train_step": [], "test_step": []}
    for name, batches in seen.items():
        setattr(model, name, _noting(getattr(model, name), batches))
    model.compile(run_eagerly=True)
    return seen


def _noting(step, batches):
    def noting(*arguments):
        batches.append(keras.ops.convert_to_numpy(arguments[-1][0]))
        return step(*arguments)

    return noting


def starts(batches):
    """Returns the positions of the windows of ramps, in clips."""
    return np.concatenate([batch[:, 0, 0] for batch in batches]) * LONG / 96


def trained(clips, epochs=2, seed=0, **options):
    """Starts of windows, `(epochs, clips)`, in training; and those in validation."""
    keras.utils.set_random_seed(seed)
    model = tiny_classifier("audio")
    seen = recorded(model)
    labels = [0] * len(clips)
    model.fit(
        clips,
        labels,
        batch_size=2,
        epochs=epochs,
        shuffle=False,
        validation_data=(clips, labels),
        verbose=0,
        **options,
    )
    training = starts(seen["train_step"]).reshape(epochs, len(clips))
    return training, starts(seen["test_step"])


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """The same long audio clip in every form."""
    path = tmp_path_factory.mktemp("sounds") / "long.wav"
    path.write_bytes(wav_bytes(ramp()))
    segment = MediaSegment(path, 0.0, LONG / RATE)
    return [path, str(path), path.read_bytes(), segment, (ramp(), RATE)]


def test_windows_are_random_in_training_and_the_middle_in_validation(clips):
    training, validation = trained(clips)
    assert ((training >= -0.01) & (training <= 9.01)).all()
    assert len(np.unique(training.round(3))) == 10
    assert training.std() > 1
    np.testing.assert_allclose(validation, 4.5, atol=0.02)


def test_windows_follow_from_the_seed_and_the_epoch(clips):
    first, _ = trained(clips, seed=3)
    again, _ = trained(clips, seed=3)
    np.testing.assert_array_equal(again, first)
    other, _ = trained(clips, seed=4)
    assert np.abs(other - first).max() > 0.1


def test_the_middle_is_taken_where_it_is_asked_for(clips):
    training, validation = trained(clips, window="middle")
    np.testing.assert_allclose(training, 4.5, atol=0.02)
    np.testing.assert_allclose(validation, 4.5, atol=0.02)


def test_another_window_is_refused(clips):
    with pytest.raises(ValueError, match="`window` must be"):
        tiny_classifier("audio").fit(clips, [0] * 5, window="first")


@pytest.mark.parametrize("position", [0.0, 0.25, 1.0])
def test_a_position_is_that_of_the_window(position, clips, tmp_path):
    preprocessor = tiny_classifier("audio").preprocessor
    waveforms = preprocessor({"audio": clips}, position=position)["audio"]
    np.testing.assert_allclose(starts([waveforms]), 9 * position, atol=0.02)
    levels = np.arange(40, dtype=np.uint8) * 6
    frames = np.broadcast_to(levels[:, None, None, None], (40, 32, 32, 3)).copy()
    path = tmp_path / "long.mp4"
    encode_clip(path, frames, 4, np.zeros(10 * RATE, "float32"), RATE)
    first = int(36 * position)
    for clip in ((frames, 4.0), path, MediaSegment(path, 0.0, 10.0)):
        (shown,) = preprocessor({"video": clip}, position=position)["video"]
        expected = levels[first : first + 4].astype(int)
        assert np.abs(shown[:, 4, 4, 0] - expected).max() <= 4


def test_training_with_random_windows_of_video_and_images_works():
    random = np.random.default_rng(0)
    video = tiny_classifier("video")
    clips = [(random.integers(0, 256, (20, 8, 8, 3), np.uint8), 4.0)] * 3
    history = video.fit(clips, [0, 1, 2], batch_size=2, verbose=0).history
    image = tiny_classifier("image")
    photos = [random.integers(0, 256, (16, 20, 3), np.uint8)] * 3
    history |= {
        "image": image.fit(photos, [0, 1, 2], verbose=0).history["loss"],
    }
    assert np.isfinite(history["loss"] + history["image"]).all()
