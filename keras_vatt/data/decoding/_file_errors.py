"""Errors of single media files, and the option for files that can't be used."""

import contextlib
import os
from collections.abc import Iterator

import av

from keras_vatt._choices import check_choice
from keras_vatt._errors import KerasVATTError
from keras_vatt._printable import printable_line
from keras_vatt.data._report import Problem

ON_ERROR = ("skip", "raise")

# Exceptions that PyAV raises on broken files, found by fuzzing.
LIBRARY_ERRORS = (av.FFmpegError, OSError, ValueError, ArithmeticError, LookupError)


class MediaError(KerasVATTError):
    """A media file, or a part of it, cannot be used.

    Args:
        path: str or path of the file.
        problem: `keras_vatt.data.Problem`. Kind of the error.
        reason: str. What exactly is wrong.
    """

    def __init__(
        self, path: str | os.PathLike[str], problem: Problem, reason: str
    ) -> None:
        super().__init__(path, problem, reason)
        self.path = path
        self.problem = problem
        self.reason = reason

    def __str__(self) -> str:
        return printable_line(f"{self.path}: {self.reason}")


def check_on_error(on_error: str) -> None:
    """Raises a `ValueError` unless `on_error` is `"skip"` or `"raise"`."""
    check_choice("on_error", on_error, ON_ERROR)


@contextlib.contextmanager
def any_error_of(source: object) -> Iterator[None]:
    """Raises any exception of a `with` block that reads one file as a `MediaError`.

    Decoders fail on unusual files in ways that can't all be listed, and one file of
    thousands must not end a run.

    Args:
        source: str or path of the file, or a file object.

    Raises:
        MediaError: If the block raises an exception.
    """
    try:
        yield
    except MediaError:
        raise
    except Exception as error:
        reason = f"cannot be decoded ({type(error).__name__}: {error})"
        name = str(getattr(source, "name", source))
        raise MediaError(name, Problem.CORRUPT, reason) from error
