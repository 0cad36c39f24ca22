"""Media files cut into windows, each of which is found on its own."""

import concurrent.futures
import contextlib
import dataclasses
import math

import numpy as np

from keras_vatt.data._report import Finding, Problem
from keras_vatt.data.decoding._file_errors import any_error_of
from keras_vatt.data.decoding._frames import decode_frames
from keras_vatt.data.decoding._media import MediaError, open_media
from keras_vatt.data.decoding._raw_clips import raw_frames, raw_waveform
from keras_vatt.data.decoding._short_clips import filled_reason
from keras_vatt.data.decoding._waveform import decode_waveform, is_silent
from keras_vatt.search._errors import MediaIndexError
from keras_vatt.search._media_files import MediaFile, file_inside

# A header that promises weeks is broken, and would fill the memory with windows.
_MAX_WINDOWS = 1_000_000

# Speech at the lowest rate, or a still image as video, takes more bytes in a second. A
# file that claims to last longer than its bytes allow is read up to there, or for ten
# minutes: it may have a packet that is stamped with a time weeks ahead.
_LEAST_BYTES_PER_SECOND = 16
_ALWAYS_READ = 600.0

# Seconds by which the length of a file may be off.
_TOLERANCE = 0.001


@dataclasses.dataclass(frozen=True)
class DecodingRules:
    """Rules for short, odd and linked files.

    Args:
        short_clips: string. `"repeat"`, `"pad"` or `"error"`; see `embed_folder`.
            Defaults to `"repeat"`.
        on_error: string. `"skip"` makes an error of a file a finding, `"raise"` raises
            it. Defaults to `"skip"`.
        allow_outside: bool. Whether links may lead out of the folder. Defaults to
            `False`.
    """

    short_clips: str = "repeat"
    on_error: str = "skip"
    allow_outside: bool = False


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
    """The frames and the audio of a window.

    Args:
        frames: uint8 array as `decode_frames` gives it, or `None`.
        waveform: float32 array `(samples,)`, or `None`.
        findings: tuple of `Finding`: modalities that are missing, repeated or padded.
    """

    frames: np.ndarray | None
    waveform: np.ndarray | None
    findings: tuple[Finding, ...] = ()


def cut_files(files, folder, window_seconds, threads=None, rules=None, infos=None):
    """Cut files into windows by what their headers say.

    A file is cut into equal windows of about `window_seconds`, at least one. What a
    header claims is believed as far as the size of the file allows it.

    Args:
        files: list of `MediaFile`.
        folder: string or path that their paths are relative to.
        window_seconds: float.
        threads: int, files that are opened at a time. Defaults to `None`, as many as
            there are processors, and a few more.
        rules: `DecodingRules`. Defaults to `None`, its defaults.
        infos: dict that gets the `keras_vatt.data.MediaInfo` of each `MediaFile`, for
            `decode_windows`: measuring a file's length may take reading all of it.
            Defaults to `None`, not kept.

    Returns:
        Tuple of the list of `Window` in the order of `files`, and of the list of
        `Finding` of files that are left out, in whole or in part.

    Raises:
        MediaError: of the first file that can't be read, if the rules say so.
    """
    rules = rules or DecodingRules()
    infos = {} if infos is None else infos
    windows, findings = [], []

    def cut_file(file):
        return _cut(file, folder, window_seconds, rules, infos)

    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        for cut, found in pool.map(cut_file, files):
            windows += cut
            findings += found
    return windows, findings


def decode_windows(
    windows, folder, spec, modalities, threads=None, rules=None, infos=None
):
    """Decode the middle of each window: one clip of the model.

    Args:
        windows: list of `Window`.
        folder: string or path that the paths of files are relative to.
        spec: `keras_vatt.data.ClipSpec`.
        modalities: which of `"video"` and `"audio"` are wanted.
        threads: int, see `cut_files`.
        rules: `DecodingRules`, see `cut_files`.
        infos: dict, see `cut_files`.

    Returns:
        List of `DecodedWindow`. Errors are among their `findings`.

    Raises:
        MediaError: of the first file that can't be decoded, if the rules say so.
    """
    rules, infos = rules or DecodingRules(), infos or {}

    def decode(window):
        try:
            with _opened(window.file, folder, rules) as media:
                info = infos.get(window.file) or media.info()
                decoder = _WindowDecoder(media, info, window, spec, rules)
                return decoder.decode(modalities)
        except MediaError as error:
            if rules.on_error == "raise":
                raise
            return DecodedWindow(None, None, (_finding(window.file, error),))

    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        return list(pool.map(decode, windows))


def _cut(file, folder, window_seconds, rules, infos):
    try:
        with _opened(file, folder, rules) as media:
            infos[file] = info = media.info()
            _check_streams(media, info)
            end, findings = _believed_end(file, info)
            count = max(1, round((end - info.start) / window_seconds))
            if count > _MAX_WINDOWS:
                reason = f"claims to last {info.duration:g} seconds"
                raise media.error(Problem.MALFORMED, reason)
    except MediaError as error:
        if rules.on_error == "raise":
            raise
        return [], [_finding(file, error)]
    edges = np.linspace(info.start, end, count + 1).round(6).tolist()
    pairs = zip(edges[:-1], edges[1:], strict=True)
    return [Window(file, first, last) for first, last in pairs], findings


@contextlib.contextmanager
def _opened(file, folder, rules):
    """Opens a file of the folder; every error in the `with` block is a `MediaError`."""
    try:
        path = file_inside(folder, file.path, rules.allow_outside)
    except MediaIndexError as error:
        reason = "is no media file of the folder any more"
        raise MediaError(file.path, Problem.MISSING, reason) from error
    with any_error_of(path), open_media(path) as media:
        yield media


def _check_streams(media, info):
    if not (info.has_video or info.has_audio):
        reason = "has neither video nor sound that can be decoded"
        raise media.error(Problem.NO_VIDEO, reason)
    if not (info.has_video or info.duration > 0):
        raise media.error(Problem.NO_AUDIO, "has not a single audio sample")
    if not math.isfinite(info.duration) or info.duration < 0:
        reason = f"claims to last {info.duration:g} seconds"
        raise media.error(Problem.MALFORMED, reason)


def _believed_end(file, info):
    """Returns where a file ends, and a finding if that is not where it claims to."""
    longest = max(_ALWAYS_READ, file.size / _LEAST_BYTES_PER_SECOND)
    if info.duration <= longest:
        return info.end, []
    reason = (
        f"claims to last {info.duration:.0f} s in {file.size} bytes: only the first "
        f"{longest:.0f} s are read"
    )
    return info.start + longest, [Finding(Problem.MALFORMED, file.path, reason)]


class _WindowDecoder:
    """Decodes one window of an open file.

    Args:
        media: `keras_vatt.data.Media`.
        info: `keras_vatt.data.MediaInfo`.
        window: `Window`.
        spec: `keras_vatt.data.ClipSpec`.
        rules: `DecodingRules`.
    """

    def __init__(self, media, info, window, spec, rules):
        self._media = media
        self._info = info
        self._window = window
        self._spec = spec
        self._rules = rules
        self._findings = {}

    def decode(self, modalities):
        """Returns the `DecodedWindow`."""
        frames, waveform = None, None
        if self._info.has_video and "video" in modalities:
            frames = self._attempt(self._frames)
        if self._info.has_audio and "audio" in modalities:
            waveform = self._attempt(self._waveform)
        return DecodedWindow(frames, waveform, tuple(self._findings.values()))

    def _attempt(self, decode):
        """Returns what a function decodes; `None`, and a finding, if it can't."""
        try:
            with any_error_of(self._media.name):
                return decode()
        except MediaError as error:
            is_error = error.problem is not Problem.SILENT
            if is_error and self._rules.on_error == "raise":
                raise
            finding = _finding(self._window.file, error)
            self._findings.setdefault(finding.problem, finding)
            return None

    def _frames(self):
        spec, rule = self._spec, self._rules.short_clips
        if self._info.duration + _TOLERANCE >= spec.duration:
            return decode_frames(self._media, self._start(spec.duration), spec)
        frames = raw_frames(self._media, spec, short_clips=rule)[0]
        # The last frame may stand for one period more.
        if self._info.duration + spec.frame_period + _TOLERANCE < spec.duration:
            self._note_short(spec.duration)
        return frames

    def _waveform(self):
        spec, rule = self._spec, self._rules.short_clips
        seconds = spec.audio_samples / spec.sampling_rate
        is_short = self._info.duration + _TOLERANCE < seconds
        if is_short:
            waveform = raw_waveform(self._media, spec, short_clips=rule)[0]
        else:
            waveform = decode_waveform(self._media, self._start(seconds), spec)
        # All silence has one embedding, which would come up for any query.
        if is_silent(waveform):
            raise self._media.error(Problem.SILENT, "has only silence")
        if is_short:
            self._note_short(seconds)
        return waveform

    def _start(self, seconds):
        """Returns where the clip in the middle of the window starts, in the file."""
        centered = (self._window.start + self._window.end - seconds) / 2
        last = self._info.end - seconds
        # Where a sample would be halved, noise in the last digit must not decide.
        return round(max(self._info.start, min(centered, last)), 6)

    def _note_short(self, seconds):
        reason = f"lasts {self._info.duration:.2f} s, a clip {seconds:.2f} s"
        reason = filled_reason(reason, self._rules.short_clips)
        finding = Finding(Problem.SHORT, self._window.file.path, reason)
        self._findings.setdefault(Problem.SHORT, finding)


def _finding(file, error):
    # The library's own words have the whole path, which an index doesn't keep.
    reason = error.reason.replace(str(error.path), file.path)
    return Finding(error.problem, file.path, reason)
