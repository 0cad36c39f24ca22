"""Windows in time and crops of clips from files, segments and arrays."""

import numpy as np
import pytest

import keras_vatt
from keras_vatt.data import ClipSpec, MediaError, MediaSegment, decode_frames, probe
from keras_vatt.data.decoding._raw_clips import (
    is_raw,
    raw_frames,
    raw_waveform,
    window_starts,
)
from tests.data._media import clicks, numbered_picture, numbers_in, write_media

FPS, SECONDS, RATE = 10, 12, 8_000
SPEC = ClipSpec(4, 4.0, 64, sampling_rate=RATE, audio_samples=RATE)


@pytest.fixture(scope="module")
def media_file(tmp_path_factory):
    """Twelve seconds: an image of its number every .1 s, a click each second."""
    path = tmp_path_factory.mktemp("media") / "clip.mp4"
    images = [numbered_picture(n, width=128) for n in range(SECONDS * FPS)]
    times = np.arange(SECONDS * FPS) / FPS
    sound = clicks(np.arange(SECONDS) + 0.5, SECONDS, RATE), RATE
    return write_media(path, images, times, sound, rate=FPS)


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """An image twice as wide as high, that grows brighter to the right."""
    frames = np.zeros((20, 64, 128, 3), np.uint8)
    frames[:] = np.arange(128)[:, None]
    return frames, 10.0


def first_numbers(windows):
    return [numbers_in(window)[0] for window in windows]


def test_one_window_lies_in_the_middle_and_several_from_start_to_end():
    np.testing.assert_allclose(window_starts(1.0, 11.0, 2.0, 1), [5.0])
    np.testing.assert_allclose(window_starts(1.0, 11.0, 2.0, 4), [1, 11 / 3, 19 / 3, 9])
    np.testing.assert_allclose(window_starts(1.0, 2.0, 5.0, 3), [1, 1, 1])


@pytest.mark.parametrize("number", [0, -1, 1.5, True])
def test_impossible_numbers_of_windows_and_crops_are_refused(wide, number):
    with pytest.raises(ValueError, match="`num_windows` must be"):
        raw_frames(wide, SPEC, num_windows=number)
    with pytest.raises(ValueError, match="`num_crops` must be"):
        raw_frames(wide, SPEC, num_crops=number)


def test_windows_of_a_file_are_spread_over_its_duration(media_file):
    windows = raw_frames(media_file, ClipSpec(4, 4.0, 64), num_windows=3)
    assert windows.shape == (3, 4, 64, 64, 3)
    last = probe(media_file).end - 1.0
    for window, start in zip(windows, [0.0, last / 2, last], strict=True):
        expected = decode_frames(media_file, start, SPEC)
        np.testing.assert_array_equal(window, expected)


def test_windows_of_an_array_are_those_of_a_file():
    frames = np.stack([numbered_picture(n) for n in range(120)])
    windows = raw_frames((frames, 10.0), SPEC, num_windows=3)
    assert first_numbers(windows) == [0, 55, 110]
    assert numbers_in(windows[1]) == [55, 57, 60, 62]


def test_three_crops_are_start_center_and_end_of_the_longer_side(wide):
    crops = raw_frames(wide, SPEC, num_crops=3)
    assert crops.shape == (3, 4, 64, 64, 3)
    np.testing.assert_array_equal(crops[:, 0, 0, 0, 0], [0, 32, 64])
    (center,) = raw_frames(wide, SPEC)
    np.testing.assert_array_equal(crops[1], center)


def test_crops_of_a_window_are_adjacent(media_file):
    video = keras_vatt.VATTVideoConverter(4, 4.0, 64)
    both = video([media_file], num_windows=2, num_crops=3)
    assert both.shape == (6, 4, 64, 64, 3)
    windows = video(media_file, num_windows=2)
    np.testing.assert_array_equal(both[1::3], windows)


def test_windows_of_audio_are_spread_over_its_duration(media_file):
    whole = (clicks(np.arange(12) + 0.5, 12, RATE), RATE)
    for source in (media_file, whole):
        windows = raw_waveform(source, SPEC, num_windows=3)
        assert windows.shape == (3, RATE)
        # Starts at 0, 5.5 and 11 seconds: clicks after .5, 0 (and 1) and .5 s.
        peaks = 400 + np.abs(windows[:, 400:-400]).argmax(axis=1)
        np.testing.assert_allclose(peaks[[0, 2]], RATE / 2, atol=40)
        assert np.abs(windows[1, 400:-400]).max() < 0.1


def test_a_segment_is_a_raw_clip_with_its_own_middle_and_windows(media_file):
    segment = MediaSegment(media_file, start=4.0, end=8.0)
    assert is_raw(segment)
    assert is_raw([segment])
    (middle,) = raw_frames(segment, SPEC)
    np.testing.assert_array_equal(middle, decode_frames(media_file, 5.5, SPEC))
    first, last = raw_frames(segment, SPEC, num_windows=2)
    np.testing.assert_array_equal(first, decode_frames(media_file, 4.0, SPEC))
    np.testing.assert_array_equal(last, decode_frames(media_file, 7.0, SPEC))


def test_a_segment_without_bounds_is_the_file(media_file):
    for function in (raw_frames, raw_waveform):
        expected = function(media_file, SPEC, num_windows=2)
        for segment in (MediaSegment(media_file), MediaSegment(media_file, end=99.0)):
            np.testing.assert_array_equal(
                function(segment, SPEC, num_windows=2), expected
            )


def test_a_short_segment_of_audio_repeats_or_is_padded(media_file):
    # The click of 6.5 seconds lies within the window and behind the segment.
    quarter = RATE // 4
    segment = MediaSegment(media_file, 6.0, 6.25)
    (padded,) = raw_waveform(segment, SPEC, short_clips="pad")
    np.testing.assert_array_equal(padded[quarter:], 0.0)
    (repeated,) = raw_waveform(segment, SPEC)
    np.testing.assert_array_equal(repeated, np.tile(padded[:quarter], 4))
    (waveform,) = raw_waveform(MediaSegment(media_file, 6.0, 6.75), SPEC)
    assert np.abs(waveform).max() > 0.5


def test_a_short_segment_of_video_repeats_is_padded_or_refused(media_file):
    segment = MediaSegment(media_file, 4.0, 4.6)
    own = decode_frames(media_file, 4.0, SPEC)[:3]  # At 0, 0.25 and 0.5 seconds.
    (repeated,) = raw_frames(segment, SPEC)
    np.testing.assert_array_equal(repeated, own[[0, 1, 2, 0]])
    (padded,) = raw_frames(segment, SPEC, short_clips="pad")
    np.testing.assert_array_equal(padded[:3], own)
    assert not padded[3:].any()
    with pytest.raises(MediaError, match=r"clip.mp4: lasts 0.60 s, a clip 1.00 s"):
        raw_frames(segment, SPEC, short_clips="error")


def test_a_segment_past_the_end_of_its_file_is_refused(media_file):
    for function in (raw_frames, raw_waveform):
        with pytest.raises(MediaError, match=r"ends at 12.0\d s, before the"):
            function(MediaSegment(media_file, 13.0, 20.0), SPEC)


def test_the_preprocessor_takes_windows_of_both_and_repeats_no_text(media_file):
    words = keras_vatt.VATTTokenizer.from_captions(["a star"])
    preprocessor = keras_vatt.VATTPreprocessor.from_clip_spec(SPEC, words)
    segments = [MediaSegment(media_file, 0.0, 5.0), media_file]
    inputs = {"video": segments, "audio": segments, "text": ["a star", "star"]}
    arrays = preprocessor(inputs, num_windows=4, num_crops=3)
    assert arrays["video"].shape == (24, 4, 64, 64, 3)
    assert arrays["audio"].shape == (8, RATE, 1)
    assert len(arrays["text"]) == 2


def test_batches_have_no_windows_and_audio_has_no_crops(media_file):
    video = keras_vatt.VATTVideoConverter(4, 4.0, 64)
    audio = keras_vatt.VATTAudioConverter(RATE, RATE)
    with pytest.raises(ValueError, match="array of a batch"):
        video(np.zeros((2, 4, 64, 64, 3), np.uint8), num_windows=2)
    with pytest.raises(ValueError, match="not supported for audio"):
        audio(media_file, num_crops=3)
