"""Decodes the raw clips of a list, and records those that can't be used."""

import logging
import os
import threading

from keras_vatt._printable import printable_line
from keras_vatt.data._report import CorpusReport, Finding, Problem
from keras_vatt.data.decoding._file_errors import check_on_error
from keras_vatt.data.decoding._filled_clips import filled_clips
from keras_vatt.data.decoding._media import MediaError
from keras_vatt.data.decoding._media_segment import MediaSegment
from keras_vatt.data.decoding._short_clips import filled_reason

_LOGGER = logging.getLogger(__name__)
_MAX_NAMES = 5


class SkippedClipError(MediaError):
    """A clip can't be used, which its reader has logged and recorded."""


class ClipReader:
    """Decodes the clips of a list by their numbers, in any thread.

    Args:
        clips: sequence of raw clips, or an array of decoded ones.
        convert: function from a list of clips to an array. With `short_clips` it takes
            the keywords `short_clips` and `position`; see `VATTPreprocessor.call`.
        short_clips: string. `"repeat"`, `"pad"` or `"error"`. Defaults to `None`, for
            clips without a duration.
        on_error: string. `"skip"` logs and records a file that can't be used, `"raise"`
            raises its `MediaError`. Defaults to `"raise"`.
        has_files: bool. Whether strings are paths. Defaults to `True`.

    Raises:
        ValueError: if there are no clips, or `on_error` is unknown.
        keras_vatt.data.MediaError: if files are missing: all of them, or any with
            `on_error="raise"`.
    """

    def __init__(
        self, clips, convert, short_clips=None, on_error="raise", has_files=True
    ):
        check_on_error(on_error)
        if len(clips) == 0:
            raise ValueError("The list of clips is empty.")
        self._clips = clips
        self._convert = convert
        self._short_clips = short_clips
        self.on_error = on_error
        self._lock = threading.Lock()
        self._errors = _missing(clips) if has_files else {}
        self._short = {}
        self._name_missing()

    def __len__(self):
        return len(self._clips)

    @property
    def skipped(self):
        """List of the numbers of the clips that were decoded and can't be used."""
        return sorted(self._errors)

    @property
    def first_error(self):
        """The `MediaError` of the first clip that can't be used."""
        return self._errors[min(self._errors)]

    @property
    def findings(self):
        """List of a `Finding` for each clip that was skipped, repeated or padded."""
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
            number: int. Index in the list.
            position: float in [0, 1], see `VATTPreprocessor.call`. Defaults to `None`.

        Returns:
            NumPy array of the clip's rows.

        Raises:
            keras_vatt.data.MediaError: if the file can't be used. It is a
                `SkippedClipError` if such files are skipped.
            ValueError: if the clip can't be converted.
        """
        if number in self._errors:
            raise self._skipped_error(number)
        try:
            return self._decoded(number, position)
        except ValueError as error:
            raise ValueError(f"Clip {number}: {error}") from error
        except MediaError as error:
            if self.on_error == "raise":
                raise
            self._skip(number, error)
            raise self._skipped_error(number) from error

    def read_or_replace(self, number, position=None):
        """Decodes one clip, or the next one of the list that can be used.

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
        if self._short_clips is None:
            return self._convert([self._clip(number)])
        with filled_clips() as reasons:
            rows = self._convert(
                [self._clip(number)], short_clips=self._short_clips, position=position
            )
        if reasons:
            reason = filled_reason(reasons[0], self._short_clips)
            with self._lock:
                self._short[number] = Finding(
                    Problem.SHORT, self._place(number), reason
                )
        return rows

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

    def _skipped_error(self, number):
        error = self._errors[number]
        return SkippedClipError(error.path, error.problem, error.reason)

    def _finding(self, number):
        error = self._errors[number]
        return Finding(error.problem, self._place(number), error.reason)

    def _place(self, number):
        """Returns the path of a clip, or its number if it has no path."""
        return _path_of(self._clips[number]) or f"clip {number}"

    def _name_missing(self):
        if not self._errors:
            return
        first, *others = (error.path for error in self._errors.values())
        if self.on_error == "skip" and len(self._errors) < len(self):
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
    """Returns a `MediaError` by number for each path that does not exist."""
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
