"""Errors of a run that whoever started it can fix."""

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
    """A setting or a file that can't be used; its message is one clear line."""


@contextlib.contextmanager
def user_errors():
    """Turn what is wrong with the user's files and names into `PretrainingError`."""
    try:
        yield
    except _USER_ERRORS as error:
        message = " ".join(str(error).split())
        raise PretrainingError(message) from error
