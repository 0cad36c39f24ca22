"""The times at which the clip of a segment may start."""

import concurrent.futures
import os

from keras_vatt.data._report import Problem
from keras_vatt.data.decoding._file_errors import MediaError, any_error_of
from keras_vatt.data.decoding._media import TIME_TOLERANCE, probe


def probe_all(paths, num_workers):
    """Probes files in parallel.

    Args:
        paths: List of str.
        num_workers: int, or `None` for the number of processors.

    Returns:
        List with the `MediaInfo` of each file, or with the `MediaError` that it raised.
    """
    with concurrent.futures.ThreadPoolExecutor(num_workers or os.cpu_count()) as pool:
        return list(pool.map(_probe, paths))


def possible_starts(segment, info, spec, short_clips):
    """Computes the earliest and the latest time at which the clip may start.

    Args:
        segment: `Segment`.
        info: `MediaInfo` of its file, or the `MediaError` that it raised.
        spec: `ClipSpec`.
        short_clips: str. `"repeat"`, `"pad"` or `"error"`.

    Returns:
        Tuple of two floats, in seconds. They are equal unless the segment is longer
        than a clip.

    Raises:
        MediaError: If the segment can't be used.
    """
    if isinstance(info, MediaError):
        raise info
    if not info.has_video:
        reason = "has no video that can be decoded"
        raise MediaError(segment.path, Problem.NO_VIDEO, reason)
    if is_short_file(info, spec) and short_clips == "error":
        reason = length_reason(info, spec)
        raise MediaError(segment.path, Problem.TOO_SHORT, reason)
    start = max(segment.start or 0.0, info.start)
    end = info.end if segment.end is None else min(segment.end, info.end)
    is_whole_file = segment.start is None and segment.end is None
    if start >= end and not is_whole_file:
        reason = f"lies outside the file, which ends at {info.end:.2f} s"
        raise MediaError(segment.path, Problem.TOO_SHORT, reason)
    if is_short_file(info, spec):
        return info.start, info.start
    if end - start >= spec.duration:
        return start, end - spec.duration
    centered = (start + end - spec.duration) / 2
    latest = max(info.start, info.end - spec.duration)
    widened = min(max(centered, info.start), latest)
    return widened, widened


def is_short_file(info, spec):
    """Returns whether a file is shorter than a clip.

    Args:
        info: `MediaInfo` of the file.
        spec: `ClipSpec`.
    """
    # Decoding repeats the last frame for up to one period.
    return info.duration + TIME_TOLERANCE < spec.duration - spec.frame_period


def length_reason(info, spec):
    """Returns the length of a short file and of a clip, in words.

    Args:
        info: `MediaInfo` of the file.
        spec: `ClipSpec`.
    """
    return f"lasts {info.duration:.2f} s, a clip {spec.duration:.2f} s"


def _probe(path):
    try:
        with any_error_of(path):
            return probe(path)
    except MediaError as error:
        return error
