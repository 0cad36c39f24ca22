"""Clips of whatever a user has: a file, a stretch of one, bytes, or an array."""

import math
import numbers

import av
import numpy as np

from keras_vatt.data.extents import decode_extent_frames, decode_extent_waveform
from keras_vatt.data.frames import FrameResizer
from keras_vatt.data.media import open_media
from keras_vatt.data.media_segment import MediaSegment
from keras_vatt.data.report import Problem
from keras_vatt.data.short_clips import check_short_clips
from keras_vatt.data.waveform import to_mono


def raw_frames(
    source, spec, num_windows=1, num_crops=1, short_clips="repeat", position=None
):
    """Decodes frames of one video: its middle, or several windows and crops.

    Several windows are spread evenly in time from its start to its end, several crops
    evenly along the longer side of the frame, as VATT tests classifiers on 4 windows
    and 3 crops (arXiv 2104.11178).

    Args:
        source: str or path of a file, a `keras_vatt.data.MediaSegment`, the `bytes` of
            a file, a binary file object, or a tuple of a uint8 array
            `(frames, height, width, 3)` and its frames per second.
        spec: `keras_vatt.data.ClipSpec`.
        num_windows: int. `1` is the middle. Defaults to `1`.
        num_crops: int. `1` is the center. Defaults to `1`.
        short_clips: str. What becomes of video that is shorter than a clip:
            `"repeat"` starts over from its beginning, as the original data pipeline
            does, `"pad"` appends black frames, `"error"` raises. Defaults to
            `"repeat"`.
        position: float in `[0, 1]`. Where one window lies between the start and the
            end. Defaults to `None`, the middle.

    Returns:
        NumPy array of uint8, shape
        `(num_windows * num_crops, num_frames, frame_size, frame_size, 3)`, the crops
        of a window adjacent.

    Raises:
        MediaError: if a file can't be decoded, has no frame, or is too short and
            `short_clips` is `"error"`.
        ValueError: if an array has another rank or dtype, an impossible rate, or
            is too short and `short_clips` is `"error"`.
    """
    check_short_clips(short_clips)
    crops = crop_positions(num_crops)
    if isinstance(source, tuple):
        return _frames_of_array(*_checked(source, "video"), spec, num_windows, crops)
    with open_media(_file_of(source)) as media:
        start, end = _bounds(source, media, "video")
        starts = window_starts(start, end, spec.duration, num_windows, position)
        windows = [
            decode_extent_frames(media, start, end, spec, crops, short_clips)
            for start in starts
        ]
    return np.concatenate(windows)


def raw_waveform(source, spec, num_windows=1, short_clips="repeat", position=None):
    """Decodes waveforms of one recording: its middle, or several windows.

    Several windows are spread evenly in time from its start to its end.

    Args:
        source: str or path of a file of audio or video, a
            `keras_vatt.data.MediaSegment`, the `bytes` of a file, a binary file
            object, or a tuple of an array `(samples,)` or `(samples, channels)` and
            its rate in hertz.
        spec: `keras_vatt.data.ClipSpec`.
        num_windows: int. `1` is the middle. Defaults to `1`.
        short_clips: str. What becomes of audio that is shorter than a clip:
            `"repeat"` starts over from its beginning, as the original data pipeline
            does, `"pad"` appends silence, `"error"` raises. Defaults to `"repeat"`.
        position: float in `[0, 1]`. Where one window lies between the start and the
            end. Defaults to `None`, the middle.

    Returns:
        NumPy array of float32, shape `(num_windows, audio_samples)`, in `[-1, 1]`.

    Raises:
        MediaError: see `decode_waveform`; or if a segment starts past the end, or a
            file is too short and `short_clips` is `"error"`.
        ValueError: if an array has another rank, no samples, samples that are not
            finite, or an impossible rate, or is too short and `short_clips` is
            `"error"`.
    """
    check_short_clips(short_clips)
    if isinstance(source, tuple):
        return _waveforms_of_array(*_checked(source, "audio"), spec, num_windows)
    seconds = spec.audio_samples / spec.sampling_rate
    with open_media(_file_of(source)) as media:
        start, end = _bounds(source, media, "audio")
        starts = window_starts(start, end, seconds, num_windows, position)
        if not media.has_video:
            starts = np.maximum(start, _on_grid(starts))
        windows = [
            decode_extent_waveform(media, start, end, spec, short_clips)
            for start in starts
        ]
    return np.stack(windows)


def _on_grid(starts):
    """Rounds times to 10 ms, for equal audio to be cut equally in every container.

    What containers say of its duration differs by as much as a millisecond. Half of a
    duration of whole hundredths is no point where rounding changes.
    """
    return np.floor(starts * 100 + 0.25) / 100


def is_raw(given):
    """Whether an input is raw: files, segments, strings, or clips with their rates.

    Args:
        given: anything. What is not raw is an array, or a list that makes one.

    Returns:
        bool.
    """
    while isinstance(given, list) and given:
        given = given[0]
    if isinstance(given, np.ndarray):
        return given.dtype.kind in "SUO"  # Of strings or of paths.
    is_file = hasattr(given, "__fspath__") or hasattr(given, "read")
    return is_file or isinstance(given, str | bytes | tuple | MediaSegment)


def window_starts(start, end, duration, num_windows, position=None):
    """Where the windows of a file start.

    Args:
        start: float, seconds. Where the file or its segment starts.
        end: float, seconds. Where it ends.
        duration: float. Seconds of a window.
        num_windows: int. One window lies in the middle, several lie evenly spread from
            the start to the end.
        position: float in `[0, 1]`. Where one window lies. Defaults to `None`, the
            middle.

    Returns:
        NumPy array of float64, shape `(num_windows,)`.

    Raises:
        ValueError: if `num_windows` is below 1.
    """
    _check_count("num_windows", num_windows)
    spare = max(0.0, end - start - duration)
    if num_windows == 1:
        return np.array([start + spare * (0.5 if position is None else position)])
    return start + np.linspace(0.0, spare, num_windows)


def crop_positions(num_crops):
    """Where crops lie along the longer side of a picture.

    Args:
        num_crops: int. One crop lies in the centre, several lie evenly spread from one
            end to the other.

    Returns:
        Tuple of floats in [0, 1], see `decode_frames`.

    Raises:
        ValueError: if `num_crops` is below 1.
    """
    _check_count("num_crops", num_crops)
    return (0.5,) if num_crops == 1 else tuple(np.linspace(0.0, 1.0, num_crops))


def _check_count(name, value):
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"`{name}` must be a positive integer. Received: {value!r}")


def _file_of(source):
    return source.path if isinstance(source, MediaSegment) else source


def _bounds(source, media, name):
    """From when to when a file or a segment of it lasts, in seconds."""
    info = media.info()
    if not isinstance(source, MediaSegment):
        return info.start, info.end
    start = info.start if source.start is None else source.start
    end = info.end if source.end is None else min(source.end, info.end)
    if start >= info.end:
        reason = f"ends at {info.end:.2f} s, before the {name} segment at {start:.2f} s"
        raise media.error(Problem.TOO_SHORT, reason)
    return start, end


def _frames_of_array(frames, rate, spec, num_windows, crops):
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8:
        raise ValueError(
            "A raw video is a uint8 array of shape (frames, height, width, 3). "
            f"Received: {frames.dtype} of shape {frames.shape}"
        )
    duration = len(frames) / rate
    # As for files, the last frame may stand for one period more.
    if duration + spec.frame_period < spec.duration or not frames.size:
        raise ValueError(
            f"A raw video of {len(frames)} frames at {rate:g} per second lasts "
            f"{duration:.2f} s, a clip {spec.duration:.2f} s."
        )
    starts = window_starts(0.0, duration, spec.duration, num_windows)
    times = starts[:, np.newaxis] + np.arange(spec.num_frames) * spec.frame_period
    # The frame that is shown at each time; a rounding error must not miss its start.
    shown = np.floor(times * rate + 1e-6).astype(int)
    shown = np.minimum(shown, len(frames) - 1)
    resizer = FrameResizer(1.0, spec.frame_size)
    numbers, places = np.unique(shown, return_inverse=True)
    images = np.stack(
        [
            resizer.crops(
                av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), "rgb24"), crops
            )
            for frame in frames[numbers]
        ]
    )
    # From (window, frame, crop, ...) to (window, crop, frame, ...).
    windows = images[places.reshape(shown.shape)].swapaxes(1, 2)
    return windows.reshape(-1, *spec.video_shape)


def _waveforms_of_array(samples, rate, spec, num_windows):
    if samples.ndim not in (1, 2) or not samples.size:
        raise ValueError(
            "A raw sound is an array of shape (samples,) or (samples, channels). "
            f"Received: shape {samples.shape}"
        )
    samples = _scaled(samples)
    if not np.isfinite(samples).all():
        raise ValueError("A raw sound has samples that are not finite.")
    mono = samples.astype(np.float32)
    mono = mono.mean(axis=1) if mono.ndim == 2 else mono
    mono = _resampled(mono, rate, spec.sampling_rate)
    count = spec.audio_samples
    mono = np.pad(np.clip(mono, -1.0, 1.0), (0, max(0, count - len(mono))))
    starts = window_starts(0, len(mono), count, num_windows).astype(int)
    return np.stack([mono[start : start + count] for start in starts])


def _resampled(mono, rate, target):
    if rate == target:
        return mono
    if rate != int(rate):
        raise ValueError(f"The rate of a sound is a whole number of hertz, not {rate}.")
    frame = av.AudioFrame.from_ndarray(mono[np.newaxis], "fltp", "mono")
    frame.sample_rate = int(rate)
    return to_mono([frame], target)


def _scaled(samples):
    """Samples of any real dtype as float in [-1, 1]."""
    if np.issubdtype(samples.dtype, np.signedinteger):
        return samples / (np.iinfo(samples.dtype).max + 1)
    if np.issubdtype(samples.dtype, np.unsignedinteger):
        # As 8-bit WAV files have them: silence is the middle.
        return samples / ((np.iinfo(samples.dtype).max + 1) / 2) - 1.0
    # Such as bfloat16, which NumPy counts as no float.
    if np.issubdtype(samples.dtype, np.floating) or samples.dtype.name == "bfloat16":
        return samples.astype(np.float64)
    raise ValueError(
        f"A raw sound has float or integer samples. Received: {samples.dtype}"
    )


def _checked(source, name):
    if len(source) != 2:
        raise ValueError(
            f"A raw {name} is a path, a segment, bytes, or a tuple of an array and "
            f"its rate. Received a tuple of {len(source)} entries"
        )
    array, rate = source
    is_number = isinstance(rate, numbers.Real) or getattr(rate, "shape", None) == ()
    if not is_number or isinstance(rate, bool):
        raise ValueError(
            f"The rate of a raw {name} is a number. Received: {type(rate).__name__} "
            f"{rate!r:.100}"
        )
    if not 0 < float(rate) < math.inf:
        raise ValueError(f"The rate of a raw {name} must be positive, not {rate}.")
    try:
        return np.asarray(array), float(rate)
    except (ValueError, TypeError) as error:
        raise ValueError(f"A raw {name} is one array: {error}") from error
