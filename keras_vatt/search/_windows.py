"""Windows of media files, each of which is found on its own."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os

import numpy as np

from keras_vatt.data import ClipSpec, MediaInfo
from keras_vatt.data._report import Finding, Problem
from keras_vatt.data.decoding._decode_ahead import decode_ahead
from keras_vatt.data.decoding._file_errors import any_error_of
from keras_vatt.data.decoding._frames import decode_frames
from keras_vatt.data.decoding._media import MediaError, open_media
from keras_vatt.data.decoding._raw_clips import raw_frames, raw_waveform
from keras_vatt.data.decoding._short_clips import filled_reason
from keras_vatt.data.decoding._waveform import decode_waveform, is_silent
from keras_vatt.inference._pipeline import DecodedItem
from keras_vatt.search._errors import MediaIndexError
from keras_vatt.search._media_files import MediaFile, file_inside

# A header that promises weeks is broken, and its windows would fill the memory.
_MAX_WINDOWS = 1_000_000

# Speech at the lowest rate, or a still image as video, takes more bytes per second. A
# file that claims to last longer than its bytes allow is read up to there, or for ten
# minutes: a packet may have a timestamp weeks ahead.
_LEAST_BYTES_PER_SECOND = 16
_ALWAYS_READ = 600.0

# Seconds by which the length of a file may be off.
_TOLERANCE = 0.001


@dataclasses.dataclass(frozen=True)
class DecodingRules:
    """Rules for short, damaged and linked files.

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
    """A segment of a file that is embedded as a whole.

    Args:
        file: `MediaFile`.
        start: float. Seconds after the start of the file.
        end: float. Seconds after the start of the file.
    """

    file: MediaFile
    start: float
    end: float


class WindowReader:
    """Cuts the files of a folder into windows, and decodes the clip of a window.

    The length of a file is measured once, as this may take reading all of it.

    Args:
        folder: string or path. The paths of files are relative to it.
        spec: `keras_vatt.data.ClipSpec`.
        modalities: iterable of `"video"` and `"audio"`. The ones that are decoded.
        rules: `DecodingRules`. Defaults to `None`, its defaults.
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        spec: ClipSpec,
        modalities: tuple[str, ...] = ("video", "audio"),
        rules: DecodingRules | None = None,
    ):
        self._folder = folder
        self._spec = spec
        self._modalities = modalities
        self._rules = rules or DecodingRules()
        self._infos: dict[MediaFile, MediaInfo] = {}

    def cut(
        self,
        files: list[MediaFile],
        window_seconds: float,
        num_workers: int | None = None,
    ) -> tuple[list[Window], list[Finding]]:
        """Cuts files into windows of equal length.

        Each file has at least one window, and its windows last about `window_seconds`.
        The length that its header claims is believed as far as the size of the file
        allows it.

        Args:
            files: list of `MediaFile`.
            window_seconds: float.
            num_workers: int. Number of threads that open files. Defaults to `None`,
                the number of processors.

        Returns:
            Tuple of the list of `Window` in the order of `files`, and of the list of
            `keras_vatt.data.Finding` of files that are skipped, in whole or in part.

        Raises:
            keras_vatt.data.MediaError: of the first file that can't be read, if the
                rules say so.
        """

        def cut(file):
            return self._cut(file, window_seconds)

        windows, findings = [], []
        for _, future in decode_ahead(files, cut, num_workers):
            windows_of_file, found = future.result()
            windows += windows_of_file
            findings += found
        return windows, findings

    def decode(self, window: Window) -> DecodedItem:
        """Decodes the clip in the middle of a window.

        Args:
            window: `Window`.

        Returns:
            `DecodedItem` with the modalities that the window has. Its findings name
            those that could not be decoded, were filled up, or are silent.

        Raises:
            keras_vatt.data.MediaError: if the file can't be decoded and the rules say
                so.
        """
        try:
            with self._opened(window.file) as media:
                info = self._infos.get(window.file) or media.info()
                decoder = _WindowDecoder(media, info, window, self._spec, self._rules)
                return decoder.decode(self._modalities)
        except MediaError as error:
            if self._rules.on_error == "raise":
                raise
            return DecodedItem({}, (_finding(window.file, error),))

    def _cut(self, file, window_seconds):
        try:
            with self._opened(file) as media:
                self._infos[file] = info = media.info()
                _check_streams(media, info)
                end, findings = _believed_end(file, info)
                count = max(1, round((end - info.start) / window_seconds))
                if count > _MAX_WINDOWS:
                    reason = f"claims to last {info.duration:g} seconds"
                    raise media.error(Problem.MALFORMED, reason)
        except MediaError as error:
            if self._rules.on_error == "raise":
                raise
            return [], [_finding(file, error)]
        edges = np.linspace(info.start, end, count + 1).round(6).tolist()
        pairs = zip(edges[:-1], edges[1:], strict=True)
        return [Window(file, first, last) for first, last in pairs], findings

    @contextlib.contextmanager
    def _opened(self, file):
        """Opens a file; every error in the `with` block becomes a `MediaError`."""
        try:
            path = file_inside(self._folder, file.path, self._rules.allow_outside)
        except MediaIndexError as error:
            reason = "is no longer a media file of the folder"
            raise MediaError(file.path, Problem.MISSING, reason) from error
        with any_error_of(path), open_media(path) as media:
            yield media


def _check_streams(media, info):
    if not (info.has_video or info.has_audio):
        reason = "has neither video nor audio that can be decoded"
        raise media.error(Problem.NO_VIDEO, reason)
    if not (info.has_video or info.duration > 0):
        raise media.error(Problem.NO_AUDIO, "has no audio samples")
    if not math.isfinite(info.duration) or info.duration < 0:
        reason = f"claims to last {info.duration:g} seconds"
        raise media.error(Problem.MALFORMED, reason)


def _believed_end(file, info):
    """Returns the time at which a file ends, and a finding if its header is wrong."""
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
        """Returns the `DecodedItem`."""
        arrays = {}
        if self._info.has_video and "video" in modalities:
            arrays["video"] = self._attempt(self._frames)
        if self._info.has_audio and "audio" in modalities:
            arrays["audio"] = self._attempt(self._waveform)
        arrays = {m: clip[np.newaxis] for m, clip in arrays.items() if clip is not None}
        return DecodedItem(arrays, tuple(self._findings.values()))

    def _attempt(self, decode):
        """Returns the result of a decoder, or `None` and adds a finding."""
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
        # The last frame may be shown for one more period.
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
        # Silence always has the same embedding, which would match any query.
        if is_silent(waveform):
            raise self._media.error(Problem.SILENT, "is silent")
        if is_short:
            self._note_short(seconds)
        return waveform[:, np.newaxis]

    def _start(self, seconds):
        """Returns the time at which the clip in the middle of the window starts."""
        centered = (self._window.start + self._window.end - seconds) / 2
        last = self._info.end - seconds
        # Rounding: noise in the last digit must not decide which sample is the first.
        return round(max(self._info.start, min(centered, last)), 6)

    def _note_short(self, seconds):
        reason = f"lasts {self._info.duration:.2f} s, a clip {seconds:.2f} s"
        reason = filled_reason(reason, self._rules.short_clips)
        finding = Finding(Problem.SHORT, self._window.file.path, reason)
        self._findings.setdefault(Problem.SHORT, finding)


def _finding(file, error):
    # The reason may name the whole path, which an index doesn't store.
    reason = error.reason.replace(str(error.path), file.path)
    return Finding(error.problem, file.path, reason)
