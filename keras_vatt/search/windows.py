"""Media files cut into windows, each of which is found on its own."""

import concurrent.futures
import dataclasses
import math

import numpy as np

from keras_vatt.data.frames import decode_frames
from keras_vatt.data.media import MediaError, open_media
from keras_vatt.data.report import Finding, Problem
from keras_vatt.data.waveform import decode_waveform, is_silent
from keras_vatt.search.media_files import MediaFile, file_inside

# A header that promises weeks is broken, and would fill the memory with windows.
_MAX_WINDOWS = 1_000_000


@dataclasses.dataclass(frozen=True)
class Window:
    """A stretch of a file that is embedded as a whole.

    Args:
        file: `MediaFile`.
        start: float, seconds after the start of the file.
        end: float, seconds.
    """

    file: MediaFile
    start: float
    end: float


@dataclasses.dataclass(frozen=True)
class DecodedWindow:
    """What is seen and heard in a window.

    Args:
        frames: uint8 array as `decode_frames` gives it, or `None`.
        waveform: float32 array `(samples,)`, or `None`.
        failures: tuple of `Finding`: what a model should have got and didn't.
    """

    frames: np.ndarray | None
    waveform: np.ndarray | None
    failures: tuple[Finding, ...] = ()


def cut_files(files, folder, window_seconds, threads=None):
    """Cut files into windows by what their headers say.

    A file is cut into equal windows of about `window_seconds`, at least one.

    Args:
        files: list of `MediaFile`.
        folder: string or path that their paths are relative to.
        window_seconds: float.
        threads: int, files that are opened at a time. Defaults to `None`, as many as
            there are processors, and a few more.

    Returns:
        Tuple of the list of `Window` in the order of `files`, and of the list of
        `Finding` of files that are left out.
    """
    windows, findings = [], []
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        cuts = pool.map(lambda file: _cut(file, folder, window_seconds), files)
        for cut in cuts:
            if isinstance(cut, Finding):
                findings.append(cut)
            else:
                windows += cut
    return windows, findings


def decode_windows(windows, folder, spec, modalities, threads=None):
    """Decode the middle of each window: one clip of the model.

    Args:
        windows: list of `Window`.
        folder: string or path that the paths of files are relative to.
        spec: `keras_vatt.data.ClipSpec`.
        modalities: which of `"video"` and `"audio"` are wanted.
        threads: int, see `cut_files`.

    Returns:
        List of `DecodedWindow`. Errors are among their `failures`.
    """

    def decode(window):
        return _decode(window, folder, spec, modalities)

    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        return list(pool.map(decode, windows))


def _cut(file, folder, window_seconds):
    try:
        with open_media(file_inside(folder, file.path)) as media:
            info = media.info()
            count = max(1, round(info.duration / window_seconds))
            if not (info.has_video or info.has_audio):
                reason = "has neither video nor sound that can be decoded"
                raise media.error(Problem.NO_VIDEO, reason)
            if not 0 < info.duration < math.inf or count > _MAX_WINDOWS:
                reason = f"claims to last {info.duration:g} seconds"
                raise media.error(Problem.MALFORMED, reason)
    except MediaError as error:
        return _finding(file, error)
    edges = np.linspace(info.start, info.end, count + 1).round(6).tolist()
    return [
        Window(file, start, end)
        for start, end in zip(edges[:-1], edges[1:], strict=True)
    ]


def _decode(window, folder, spec, modalities):
    try:
        with open_media(file_inside(folder, window.file.path)) as media:
            return _decode_open(media, window, spec, modalities)
    except MediaError as error:
        return DecodedWindow(None, None, (_finding(window.file, error),))


def _decode_open(media, window, spec, modalities):
    info = media.info()
    frames, waveform, failures = None, None, []
    if info.has_video and "video" in modalities:
        try:
            start = _clip_start(window, info, spec.duration)
            frames = decode_frames(media, start, spec)
        except MediaError as error:
            failures.append(_finding(window.file, error))
    if info.has_audio and "audio" in modalities:
        try:
            start = _clip_start(window, info, spec.audio_samples / spec.sampling_rate)
            decoded = decode_waveform(media, start, spec)
            # All silence has one embedding, which would come up for any query.
            if is_silent(decoded):
                raise media.error(Problem.SILENT, "has only silence")
            waveform = decoded
        except MediaError as error:
            failures.append(_finding(window.file, error))
    return DecodedWindow(frames, waveform, tuple(failures))


def _clip_start(window, info, seconds):
    """Where the clip in the middle of a window starts, inside of the file."""
    centred = (window.start + window.end - seconds) / 2
    # Where a sample would be halved, noise in the last digit must not decide.
    return round(max(info.start, min(centred, info.end - seconds)), 6)


def _finding(file, error):
    # The library's own words have the whole path, which an index doesn't keep.
    reason = error.reason.replace(str(error.path), file.path)
    return Finding(error.problem, file.path, reason)
