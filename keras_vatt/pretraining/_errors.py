"""Errors of a run that the user can fix."""

import contextlib

from keras_vatt._errors import KerasVATTError
from keras_vatt.data.decoding._media import MediaError

_USER_ERRORS = (
    FileNotFoundError,
    NotADirectoryError,
    ImportError,
    MediaError,
    ValueError,
)


class PretrainingError(KerasVATTError, ValueError):
    """An error in a setting or a file of a run, with a one-line message."""


@contextlib.contextmanager
def user_errors():
    """Converts errors in the user's files and names to `PretrainingError`."""
    try:
        yield
    except _USER_ERRORS as error:
        message = " ".join(str(error).split())
        raise PretrainingError(message) from error
