"""Decoding the raw clips of a list, with a record of those that can't be used."""

import logging
import os
import threading

from keras_vatt._printable import printable_line
from keras_vatt.data._report import CorpusReport, Finding, Problem
from keras_vatt.data.decoding._file_errors import check_on_error
from keras_vatt.data.decoding._media import MediaError
from keras_vatt.data.decoding._media_segment import MediaSegment
from keras_vatt.data.decoding._short_clips import filled_reason

_LOGGER = logging.getLogger(__name__)
_MAX_NAMES = 5


class SkippedClipError(Exception):
    """A clip can't be used; it has been logged and recorded."""


class ClipReader:
    """Decodes the clips of a list by their numbers, from any thread.

    Args:
        clips: sequence of raw clips, or an array of decoded ones.
        convert: function from a list of clips to an array. With `short_clips` it takes
            the keywords `short_clips` and `position`; see `VATTPreprocessor.call`.
        short_clips: string. `"repeat"`, `"pad"` or `"error"`. Defaults to `None`, the
            clips have no length in time.
        on_error: string. `"skip"` logs and records a file that can't be used, `"raise"`
            raises its `MediaError`. Defaults to `"raise"`.
        has_files: bool. Whether strings are paths. Defaults to `True`.

    Raises:
        ValueError: if there are no clips, or `on_error` is something else.
        keras_vatt.data.MediaError: if files are missing: all of them, or any with
            `on_error="raise"`.
    """

    def __init__(
        self, clips, convert, short_clips=None, on_error="raise", has_files=True
    ):
        check_on_error(on_error)
        if len(clips) == 0:
            raise ValueError("There are no clips: the list is empty.")
        self._clips = clips
        self._convert = convert
        self._short_clips = short_clips
        self._skips = on_error == "skip"
        self._lock = threading.Lock()
        self._errors = _missing(clips) if has_files else {}
        self._short = {}
        self._name_missing()

    def __len__(self):
        return len(self._clips)

    @property
    def skipped(self):
        """Numbers of the clips that can't be used, as far as clips were decoded."""
        return sorted(self._errors)

    @property
    def first_error(self):
        """The `MediaError` of the first clip that can't be used."""
        return self._errors[min(self._errors)]

    @property
    def findings(self):
        """A `Finding` for each clip that was skipped, repeated or padded."""
        with self._lock:
            short, skipped = (
                dict(self._short),
                {n: self._finding(n) for n in self._errors},
            )
        findings = short | skipped
        return [findings[number] for number in sorted(findings)]

    def read(self, number, position=None):
        """Decodes one clip.

        Args:
            number: int, its place in the list.
            position: float in [0, 1], see `VATTPreprocessor.call`. Defaults to `None`.

        Returns:
            NumPy array of the clip's rows.

        Raises:
            SkippedClipError: if the file can't be used, and such files are skipped.
            keras_vatt.data.MediaError: if it can't be used, and they are not.
            ValueError: if the clip is nothing that can be converted.
        """
        if number in self._errors:
            raise SkippedClipError
        try:
            return self._decoded(number, position)
        except ValueError as error:
            raise ValueError(f"Clip {number}: {error}") from error
        except MediaError as error:
            if not self._skips:
                raise
            self._skip(number, error)
            raise SkippedClipError from error

    def read_or_replace(self, number, position=None):
        """Decodes one clip, or the next of the list that can be used.

        Returns:
            Tuple of the number of the clip that was decoded, and its rows.

        Raises:
            keras_vatt.data.MediaError: if no clip can be used: the error of the first.
        """
        for further in range(len(self)):
            candidate = (number + further) % len(self)
            try:
                return candidate, self.read(candidate, position)
            except SkippedClipError:
                continue
        raise self.first_error

    def _decoded(self, number, position):
        rule = self._short_clips
        if rule is None:
            return self._convert([self._clip(number)])
        if rule != "error" and number not in self._short:
            try:
                return self._in_time(number, "error", position)
            except (MediaError, ValueError) as error:
                # A clip that is refused for another reason is refused again below.
                if getattr(error, "problem", Problem.TOO_SHORT) != Problem.TOO_SHORT:
                    raise
                refusal = error
            rows = self._in_time(number, rule, position)
            self._short[number] = self._filled(number, refusal)
            return rows
        return self._in_time(number, rule, position)

    def _in_time(self, number, rule, position):
        clips = [self._clip(number)]
        return self._convert(clips, short_clips=rule, position=position)

    def _clip(self, number):
        clip = self._clips[number]
        if hasattr(clip, "seek"):
            clip.seek(0)  # An open file may have been read before.
        return clip

    def _skip(self, number, error):
        with self._lock:
            is_new = number not in self._errors
            self._errors[number] = error
        if is_new:
            _LOGGER.warning("Clip %d is skipped: %s", number, error)

    def _filled(self, number, refusal):
        reason = getattr(refusal, "reason", str(refusal))
        reason = filled_reason(reason, self._short_clips)
        return Finding(Problem.SHORT, self._place(number), reason)

    def _finding(self, number):
        error = self._errors[number]
        return Finding(error.problem, self._place(number), error.reason)

    def _place(self, number):
        """The path of a clip, or its number where it has none."""
        return _path_of(self._clips[number]) or f"clip {number}"

    def _name_missing(self):
        if not self._errors:
            return
        first, *others = (error.path for error in self._errors.values())
        if self._skips and len(self._errors) < len(self):
            names = _names([first, *others], _MAX_NAMES)
            _LOGGER.warning(
                "%d of %d files are missing and skipped: %s",
                len(self._errors),
                len(self),
                names,
            )
            return
        reason = "does not exist"
        if others:
            reason += f", nor do {len(others)} others: {_names(others, _MAX_NAMES - 1)}"
        raise MediaError(first, Problem.MISSING, reason)


def report_of(readers):
    """Returns a report on the clips of several readers.

    Args:
        readers: iterable of `ClipReader`.

    Returns:
        `keras_vatt.data.CorpusReport`.
    """
    readers = list(readers)
    findings = [finding for reader in readers for finding in reader.findings]
    used = sum(len(reader) - len(reader.skipped) for reader in readers)
    return CorpusReport(used, tuple(findings))


def log_skipped(readers):
    """Logs at the end of a loop how many clips were skipped, if any."""
    skipped = sum(len(reader.skipped) for reader in readers)
    if skipped:
        _LOGGER.warning(
            "%d of %d clips were skipped: see `clip_report` of the model.",
            skipped,
            sum(len(reader) for reader in readers),
        )


def _missing(clips):
    """A `MediaError` for each path of a list at which there is nothing."""
    paths = {number: _path_of(clip) for number, clip in enumerate(clips)}
    return {
        number: MediaError(path, Problem.MISSING, "does not exist")
        for number, path in paths.items()
        if path is not None and not os.path.exists(path)
    }


def _path_of(clip):
    path = clip.path if isinstance(clip, MediaSegment) else clip
    return os.fspath(path) if isinstance(path, str | os.PathLike) else None


def _names(paths, count):
    names = ", ".join(paths[:count])
    return printable_line(names + (", ..." if len(paths) > count else ""))
