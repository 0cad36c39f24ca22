"""Clips of whatever a user has: a file, a stretch of one, bytes, or an array."""

import numpy as np

from keras_vatt.data.dataset_entries import clip_of_entry, is_dataset_entry
from keras_vatt.data.frames import decode_crops
from keras_vatt.data.media import open_media
from keras_vatt.data.media_segment import MediaSegment
from keras_vatt.data.raw_arrays import frames_of_array, waveforms_of_array
from keras_vatt.data.report import Problem
from keras_vatt.data.short_clips import check_short_clips
from keras_vatt.data.waveform import decode_waveform
from keras_vatt.data.windows import crop_positions, window_starts


def raw_frames(source, spec, num_windows=1, num_crops=1, short_clips="repeat"):
    """Frames out of one video: its middle, or several windows and crops.

    Several windows are spread evenly in time from its start to its end, several crops
    evenly along the longer side of the picture, as VATT tests classifiers on 4 windows
    and 3 crops (arXiv 2104.11178).

    Args:
        source: str or path of a file, a `keras_vatt.data.MediaSegment`, the `bytes` of
            a file, a binary file object, a tuple of a uint8 array
            `(frames, height, width, 3)` or `(frames, 3, height, width)` and its frames
            per second, or a dict, see `clip_of_entry`.
        spec: `keras_vatt.data.ClipSpec`.
        num_windows: int. `1` is the middle. Defaults to `1`.
        num_crops: int. `1` is the center. Defaults to `1`.
        short_clips: str, see `keras_vatt.data.short_clips`. Defaults to `"repeat"`.

    Returns:
        NumPy array of uint8, shape
        `(num_windows * num_crops, num_frames, frame_size, frame_size, 3)`, the crops
        of a window adjacent.

    Raises:
        MediaError: if a file can't be decoded, or it or the segment lasts less than a
            clip.
        ValueError: if an array has another rank or dtype, an impossible rate, or
            lasts less than a clip.
    """
    check_short_clips(short_clips)
    crops = crop_positions(num_crops)
    source = clip_of_entry(source)
    if isinstance(source, tuple):
        return frames_of_array(source, spec, num_windows, crops, short_clips)
    with open_media(_file_of(source)) as media:
        start, end = _bounds(source, media, "video")
        if isinstance(source, MediaSegment):
            _check_duration(media, start, end, spec)
        starts = window_starts(start, end, spec.duration, num_windows)
        windows = [decode_crops(media, start, spec, crops) for start in starts]
    return np.concatenate(windows)


def raw_waveform(source, spec, num_windows=1, short_clips="repeat"):
    """Waveforms out of one sound: its middle, or several windows.

    Several windows are spread evenly in time from its start to its end. What lasts
    less than a window is followed by silence.

    Args:
        source: str or path of a file of sound or video, a
            `keras_vatt.data.MediaSegment`, the `bytes` of a file, a binary file
            object, a tuple of an array and its rate in hertz, see
            `waveforms_of_array`, or a dict, see `clip_of_entry`.
        spec: `keras_vatt.data.ClipSpec`.
        num_windows: int. `1` is the middle. Defaults to `1`.
        short_clips: str, see `keras_vatt.data.short_clips`. Defaults to `"repeat"`.

    Returns:
        NumPy array of float32, shape `(num_windows, audio_samples)`, in `[-1, 1]`.

    Raises:
        MediaError: see `decode_waveform`; or if a segment starts past the end.
        ValueError: if an array has another rank, no samples, samples that are not
            finite, or an impossible rate.
    """
    check_short_clips(short_clips)
    source = clip_of_entry(source)
    if isinstance(source, tuple):
        return waveforms_of_array(source, spec, num_windows, short_clips)
    seconds = spec.audio_samples / spec.sampling_rate
    with open_media(_file_of(source)) as media:
        start, end = _bounds(source, media, "audio")
        starts = window_starts(start, end, seconds, num_windows)
        windows = [decode_waveform(media, start, spec) for start in starts]
    if isinstance(source, MediaSegment) and source.end is not None:
        # A short segment's window reaches into what follows it, which is not its own.
        for window, first in zip(windows, starts, strict=True):
            window[max(0, round((end - first) * spec.sampling_rate)) :] = 0.0
    return np.stack(windows)


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
    if is_dataset_entry(given):
        return True
    is_file = hasattr(given, "__fspath__") or hasattr(given, "read")
    return is_file or isinstance(given, str | bytes | tuple | MediaSegment)


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


def _check_duration(media, start, end, spec):
    # As for whole files, the last frame may stand for one period more.
    if end - start + spec.frame_period < spec.duration:
        raise media.error(
            Problem.TOO_SHORT,
            f"has a segment from {start:.2f} to {end:.2f} s that is shorter than a "
            f"clip of {spec.duration:.2f} s",
        )
