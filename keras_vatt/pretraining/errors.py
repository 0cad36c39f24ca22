"""Errors of a run that whoever started it can mend."""

import contextlib


class PretrainingError(ValueError):
    """A setting or a file that can't be used; its message is one clear line."""


@contextlib.contextmanager
def user_errors():
    """Turn what is wrong with the user's files and names into `PretrainingError`."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError, ImportError, ValueError) as error:
        message = " ".join(str(error).split())
        raise PretrainingError(message) from error
