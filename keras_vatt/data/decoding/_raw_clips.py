"""Decodes clips from files, segments of files, bytes, or arrays."""

import numpy as np

from keras_vatt.data._report import Problem
from keras_vatt.data.decoding._dataset_entries import clip_of_entry, is_dataset_entry
from keras_vatt.data.decoding._extents import (
    decode_extent_frames,
    decode_extent_waveform,
)
from keras_vatt.data.decoding._media import open_media
from keras_vatt.data.decoding._media_segment import MediaSegment
from keras_vatt.data.decoding._raw_arrays import frames_of_array, waveforms_of_array
from keras_vatt.data.decoding._short_clips import check_short_clips
from keras_vatt.data.decoding._windows import crop_positions, window_starts


def raw_frames(
    source, spec, num_windows=1, num_crops=1, short_clips="repeat", position=None
):
    """Decodes frames of one video: from its middle, or several windows and crops.

    Several windows are spread evenly in time from its start to its end, and several
    crops evenly along the longer side of the frame. VATT tests classifiers on 4 windows
    and 3 crops (arXiv 2104.11178).

    Args:
        source: str or path of a file, a `keras_vatt.data.MediaSegment`, the `bytes` of
            a file, a binary file object, a tuple of a uint8 array
            `(frames, height, width, 3)` or `(frames, 3, height, width)` and its frames
            per second, or a dict, see `clip_of_entry`.
        spec: `keras_vatt.data.ClipSpec`.
        num_windows: int. `1` is the middle. Defaults to `1`.
        num_crops: int. `1` is the center. Defaults to `1`.
        short_clips: str. How video that is shorter than a clip is filled:
            `"repeat"` starts over from its beginning, as the original data pipeline
            does, `"pad"` appends black frames, `"error"` raises. Defaults to
            `"repeat"`.
        position: float in `[0, 1]`. Position of a single window between the start (0)
            and the end (1). Defaults to `None`, the middle.

    Returns:
        NumPy array of uint8, shape
        `(num_windows * num_crops, num_frames, frame_size, frame_size, 3)`, the crops
        of a window adjacent.

    Raises:
        MediaError: If a file can't be decoded, has no frame, or is too short and
            `short_clips` is `"error"`.
        ValueError: If an array has another rank or dtype, an invalid rate, or
            is too short and `short_clips` is `"error"`.
    """
    check_short_clips(short_clips)
    crops = crop_positions(num_crops)
    source = clip_of_entry(source)
    if isinstance(source, tuple):
        return frames_of_array(source, spec, num_windows, crops, short_clips, position)
    with open_media(_file_of(source)) as media:
        start, end = _bounds(source, media, "video")
        starts = window_starts(start, end, spec.duration, num_windows, position)
        windows = [
            decode_extent_frames(media, start, end, spec, crops, short_clips)
            for start in starts
        ]
    return np.concatenate(windows)


def raw_waveform(source, spec, num_windows=1, short_clips="repeat", position=None):
    """Decodes waveforms of one recording: from its middle, or several windows.

    Several windows are spread evenly in time from its start to its end.

    Args:
        source: str or path of a file of audio or video, a
            `keras_vatt.data.MediaSegment`, the `bytes` of a file, a binary file
            object, a tuple of an array and its rate in hertz, see
            `waveforms_of_array`, or a dict, see `clip_of_entry`.
        spec: `keras_vatt.data.ClipSpec`.
        num_windows: int. `1` is the middle. Defaults to `1`.
        short_clips: str. How audio that is shorter than a clip is filled:
            `"repeat"` starts over from its beginning, as the original data pipeline
            does, `"pad"` appends silence, `"error"` raises. Defaults to `"repeat"`.
        position: float in `[0, 1]`. Position of a single window between the start (0)
            and the end (1). Defaults to `None`, the middle.

    Returns:
        NumPy array of float32, shape `(num_windows, audio_samples)`, in `[-1, 1]`.

    Raises:
        MediaError: See `decode_waveform`; or if a segment starts after the end, or a
            file is too short and `short_clips` is `"error"`.
        ValueError: If an array has another rank, no samples, samples that are not
            finite, or an invalid rate, or is too short and `short_clips` is
            `"error"`.
    """
    check_short_clips(short_clips)
    source = clip_of_entry(source)
    if isinstance(source, tuple):
        return waveforms_of_array(source, spec, num_windows, short_clips, position)
    seconds = spec.audio_samples / spec.sampling_rate
    with open_media(_file_of(source)) as media:
        start, end = _bounds(source, media, "audio")
        starts = window_starts(start, end, seconds, num_windows, position)
        if not media.has_video:
            starts = np.maximum(start, _on_grid(starts, seconds))
        windows = [
            decode_extent_waveform(media, start, end, spec, short_clips)
            for start in starts
        ]
    return np.stack(windows)


def _on_grid(starts, duration):
    """Rounds times to 10 ms, so that equal audio is cut equally in every container.

    Containers round its length by up to a millisecond. The offset of a quarter keeps
    the middle of a length in whole hundredths away from the points at which the rounded
    time jumps.
    """
    step = min(0.01, duration / 100)
    return np.floor(starts / step + 0.25) * step


def is_raw(given):
    """Returns whether an input is raw: files, segments, strings, or clips with rates.

    Args:
        given: Any object. An array, or a list of numbers, is not raw.

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
    """Returns the start and the end of a file or of a segment of it, in seconds."""
    info = media.info()
    if not isinstance(source, MediaSegment):
        return info.start, info.end
    start = info.start if source.start is None else source.start
    end = info.end if source.end is None else min(source.end, info.end)
    if start >= info.end:
        reason = f"ends at {info.end:.2f} s, before the {name} segment at {start:.2f} s"
        raise media.error(Problem.TOO_SHORT, reason)
    return start, end
