"""Errors of LanceDB as errors of an index."""

import contextlib
import pathlib

from keras_vatt._os_errors import os_errors_at
from keras_vatt.search._errors import MediaIndexError

_LONGEST = 300


def damaged(location, why):
    """Returns the error of an index that can't be read.

    Args:
        location: string or path of the index.
        why: string or exception.
    """
    return MediaIndexError(
        f"The index {str(location)!r} can't be read ({_first_line(why)}). If another "
        "run has changed it meanwhile, open it again. If it is damaged, remove it and "
        "run `keras-vatt embed` again."
    )


@contextlib.contextmanager
def reading(location):
    """Raises errors of LanceDB and Arrow in a `with` block as a `MediaIndexError`.

    Args:
        location: string or path of the index.
    """
    try:
        yield
    except MediaIndexError:
        raise
    except (OSError, ValueError, RuntimeError, TypeError, LookupError) as error:
        raise damaged(location, error) from error
    except BaseException as error:
        if not _is_panic(error):
            raise
        raise damaged(location, error) from error


@contextlib.contextmanager
def writing(location):
    """Raises errors of LanceDB as an `OSError` or a `MediaIndexError`.

    Args:
        location: string or path of the index.
    """
    with os_errors_at(pathlib.Path(location)):
        try:
            yield
        except (ValueError, RuntimeError) as error:
            if isinstance(error, MediaIndexError) or "os error" in str(error):
                raise
            raise MediaIndexError(
                f"The index {str(location)!r} can't be written ({_first_line(error)})."
            ) from error
        except BaseException as error:
            if not _is_panic(error):
                raise
            raise damaged(location, error) from error


def _is_panic(error):
    # Damaged files make LanceDB panic. Its classes of such errors have no public names,
    # and one of them is no `Exception`.
    return type(error).__name__ in ("PanicException", "RustPanic")


def _first_line(why):
    lines = str(why).strip().splitlines() or [type(why).__name__]
    return lines[0][:_LONGEST]
