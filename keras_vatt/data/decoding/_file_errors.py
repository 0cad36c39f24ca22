"""The rule for errors of single files among many."""

import contextlib

from keras_vatt.data._report import Problem
from keras_vatt.data.decoding._media import MediaError

ON_ERROR = ("skip", "raise")


def check_on_error(on_error):
    """Raises a `ValueError` unless a rule is known.

    Args:
        on_error: str. `"skip"` or `"raise"`.

    Raises:
        ValueError: If it is none of these.
    """
    if on_error not in ON_ERROR:
        raise ValueError(
            f"`on_error` must be one of {list(ON_ERROR)}. Received: "
            f"on_error={on_error!r}"
        )


@contextlib.contextmanager
def any_error_of(source):
    """Raises any error of a `with` block that reads one file as a `MediaError`.

    Decoders fail on odd files in ways that nobody has listed. One file of thousands
    must not end a run.

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
