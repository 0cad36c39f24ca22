"""Waveforms are those that the `ffmpeg` program decodes, of whatever kind of file."""

import dataclasses

import pytest

from keras_vatt.data import decode_waveform, probe
from keras_vatt.data.decoding._raw_clips import raw_waveform
from tests.data._ffmpeg_cases import AUDIOS, VIDEOS
from tests.data._ffmpeg_comparison import (
    SPEC,
    audio_starts,
    expected_lag,
    has_audio,
    is_lossless,
    true_waveform,
    waveform_noise,
    with_places,
)
from tests.data._ffmpeg_program import (
    decoded_audio,
    needs_ffmpeg,
    signal_to_noise,
    window,
)

pytestmark = [pytest.mark.once, needs_ffmpeg]
NAMES = [*AUDIOS, *filter(has_audio, VIDEOS)]
TRUE_NAMES = [name for name in NAMES if true_waveform(name)]


def least_signal_to_noise(name):
    """Decibels over the difference to `ffmpeg`.

    Without loss, what differs is the rounding of two versions of the resampler. With
    loss, two versions of a decoder differ, and after a seek a decoder starts from
    nothing: the noise that AAC substitutes is then another. A gap, a repeated block,
    or a shift by one sample leaves 20 dB or less.
    """
    if is_lossless(name):
        return 60.0
    return 28.0 if "aac" in name or expected_lag(name) or ".m4a" in name else 40.0


@pytest.mark.parametrize(("name", "place"), with_places(NAMES))
def test_waveforms_are_those_of_ffmpeg(ffmpeg_file, name, place):
    path = ffmpeg_file(name)
    start = audio_starts(path)[place]
    waveform = decode_waveform(path, start, SPEC)
    assert waveform_noise(path, waveform, start) >= least_signal_to_noise(name)


@pytest.mark.parametrize("name", NAMES)
def test_the_middle_of_the_audio_is_that_of_ffmpeg(ffmpeg_file, name):
    path = ffmpeg_file(name)
    info = probe(path)
    start = (info.start + info.end - SPEC.audio_samples / SPEC.sampling_rate) / 2
    waveform = raw_waveform(path, SPEC)[0]
    # The middle is that of a duration which containers round differently.
    assert waveform_noise(path, waveform, start, lag=1_000) >= least_signal_to_noise(
        name
    )


@pytest.mark.parametrize("name", TRUE_NAMES)
def test_waveforms_are_as_near_to_the_recording_as_those_of_ffmpeg(ffmpeg_file, name):
    path = ffmpeg_file(name)
    truth, rate = true_waveform(name)
    # At the rate of the recording, nothing is resampled.
    spec = dataclasses.replace(SPEC, sampling_rate=rate, audio_samples=rate)
    first = rate // 2
    expected = window(truth, first, rate)
    received = decode_waveform(path, 0.5, spec)
    of_ffmpeg = window(decoded_audio(path, rate), first, rate)
    least = signal_to_noise(expected, of_ffmpeg) - 0.5
    assert signal_to_noise(expected, received) >= min(least, 80.0)


@pytest.mark.parametrize("name", AUDIOS)
def test_the_length_of_the_audio_is_that_of_ffmpeg(ffmpeg_file, name):
    path = ffmpeg_file(name)
    info = probe(path)
    assert (info.has_video, info.has_audio) == (False, True)
    assert info.start == pytest.approx(0.0, abs=0.03)
    seconds = len(decoded_audio(path, SPEC.sampling_rate)) / SPEC.sampling_rate
    assert info.end == pytest.approx(seconds, abs=0.06)
