"""Differences between the clips of this library and those of the `ffmpeg` program."""

import dataclasses
import math

import numpy as np
import pytest
import scipy.signal

from keras_vatt.data import ClipSpec
from tests.data._ffmpeg_cases import AUDIOS, OPUS_LAG, SECONDS, VIDEOS, Case
from tests.data._ffmpeg_content import codes_in, recording
from tests.data._ffmpeg_program import (
    decoded_audio,
    decoded_video,
    signal_to_noise,
    window,
)

# Wide enough for the blocks of a coded image; 64 x 48 pixels become 48 x 36, whose
# crop lies on whole pixels.
SPEC = ClipSpec(num_frames=8, frames_per_second=10.0, frame_size=36)
# A frame counts as shown this many seconds before its time stamp: containers such as
# Matroska round their stamps to milliseconds.
_CLOCK = 0.001

# The program moves the clock of a second recording to the end of the first; libavformat
# does not, and so this library reads the first alone.
JOINED = pytest.mark.xfail(reason="joined recordings are read to the join", strict=True)


def with_places(names):
    """Parameters (name, place) of all windows."""
    return [
        pytest.param(
            name,
            place,
            marks=JOINED
            if name == "discontinuous.ts" and place in ("middle", "end")
            else (),
        )
        for name in names
        for place in ("start", "middle", "off the grid", "end")
    ]


@dataclasses.dataclass(frozen=True)
class FrameDifference:
    """Differences of frames from those of the program.

    Args:
        wrong: int. Frames that are not the ones that are shown.
        levels: float. Largest mean absolute difference of a frame, out of 255.
        message: str. The numbers in the images of both.
    """

    wrong: int
    levels: float
    message: str


def has_audio(name):
    """Returns whether the file of a case has audio."""
    case = AUDIOS.get(name) or VIDEOS[name]
    return name.startswith(("cut", "live", "discont")) or (
        name != "changing_size.ts" and (not isinstance(case, Case) or case.channels > 0)
    )


def is_lossless(name):
    """Returns whether decoding gives the samples that were encoded."""
    case = AUDIOS.get(name) or VIDEOS[name]
    return isinstance(case, Case) and case.lossless


def starts(first, end, duration):
    """Returns window starts by name: at the start, within, off the grid, at the end."""
    spare = end - first - duration
    return {
        "start": first,
        "middle": first + spare / 2,
        "off the grid": first + 0.37 * spare + 1.23456e-5,
        "end": first + spare,
    }


def video_starts(path):
    """Returns the `starts` of windows within the frames of a file."""
    video = decoded_video(path, SPEC.frame_size)
    # The program has no frames for the empty packets of a still image, so that the
    # others seem to last longer.
    end = SECONDS if path.name.startswith("still") else video.end
    return starts(video.times[0], end, SPEC.duration)


def audio_starts(path):
    """Returns the `starts` of windows within the audio of a file."""
    rate = SPEC.sampling_rate
    end = len(decoded_audio(path, rate)) / rate
    return starts(0.0, end, SPEC.audio_samples / rate)


def expected_lag(name):
    """Samples by which the audio of a file may be placed elsewhere, see `Case`."""
    case = AUDIOS.get(name) or VIDEOS[name]
    return case.lag if isinstance(case, Case) else 0


def frame_difference(path, frames, start):
    """Compares frames from `start` on with those of the program.

    A frame may be either of two where the time of a clip lies on a time stamp to
    within a millisecond.

    Returns:
        A `FrameDifference`.
    """
    video = decoded_video(path, SPEC.frame_size)
    # The two versions count from points that are so far apart, see `Case.lag`.
    early = 0.007 if expected_lag(path.name) == OPUS_LAG else 0.0
    choices = [
        video.shown(start + early, SPEC, tolerance) for tolerance in (0.0, _CLOCK)
    ]
    levels = [
        np.abs(frames.astype(int) - choice.astype(int)).mean(axis=(1, 2, 3))
        for choice in choices
    ]
    levels = np.minimum(*levels)
    message = f"frames {codes_in(frames)}, ffmpeg {codes_in(choices[0])}"
    # Two images with different numbers differ by 10 levels or more.
    return FrameDifference(int((levels > 5).sum()), float(levels.max()), message)


def waveform_noise(path, waveform, start, lag=0):
    """Compares a waveform with that of the program on the file's own sample grid.

    Args:
        path: path of the file.
        waveform: NumPy array of float32, shape `(samples,)`.
        start: float. Seconds. Between two samples it may be rounded either way.
        lag: int. Samples by which the waveform may start earlier or later.

    Returns:
        float. Decibels of the audio over the difference.
    """
    rate, count = SPEC.sampling_rate, len(waveform)
    samples = decoded_audio(path, rate)
    position = start * rate
    lag = max(lag, expected_lag(path.name))
    earliest, latest = round(position) - lag, round(position) + lag
    if abs(position - round(position)) > 0.01:
        earliest, latest = math.floor(position) - lag, math.ceil(position) + lag
    around = window(samples, earliest, latest - earliest + count)
    likeness = scipy.signal.correlate(around, waveform, mode="valid")
    firsts = np.argsort(likeness)[-3:] if lag else np.arange(len(likeness))
    return max(
        signal_to_noise(around[first : first + count], waveform) for first in firsts
    )


def true_waveform(name):
    """Returns what was recorded for a file, and its rate; `None` where that is unknown.

    Several channels are averaged; more than two are mixed as `ffmpeg` does it, so
    there is no other truth for them.
    """
    case = AUDIOS.get(name) or VIDEOS[name]
    if not isinstance(case, Case) or not case.truth or case.channels not in (1, 2):
        return None
    samples = recording(3, case.audio_rate, case.channels)
    return samples.mean(axis=1), case.audio_rate
