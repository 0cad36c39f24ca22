"""Recognizes errors of the operating system in exceptions of other libraries."""

import contextlib
import errno
import os
import pathlib
import re

from keras_vatt._errors import KerasVATTError

# Errors that the user's environment causes, such as a full disk or missing permissions.
_NAMES = "ENOSPC EDQUOT EFBIG EROFS EACCES EPERM EIO ELOOP ENAMETOOLONG ENOTDIR EISDIR"
_NAMES += " ENOENT EEXIST EMFILE ENFILE ENOMEM ESTALE ENODEV ENXIO"
ENVIRONMENT = frozenset(
    getattr(errno, name) for name in _NAMES.split() if hasattr(errno, name)
)

# Messages of safetensors, of TensorStore (used by Orbax), and of HDF5, in this order.
_NUMBER = re.compile(r"os error (\d+)|os_error_code='(\d+)'|errno = (\d+)")


@contextlib.contextmanager
def os_errors_at(path):
    """Converts errors of the operating system to `OSError` with the given path.

    Libraries report a full disk or a read-only folder by their own exceptions
    (`SafetensorError`, `tf.errors.OpError`, `RuntimeError`), and Python's `write` does
    not name the file. Errors that name another file, and errors with other causes,
    are not converted.

    Args:
        path: string or path of the file or folder that the block writes.

    Raises:
        OSError: or the subclass for its `errno`, such as `PermissionError`.

    Example:
    ```python
    with os_errors_at("model.safetensors"):
        safetensors.numpy.save_file(tensors, "model.safetensors")
    ```
    """
    try:
        yield
    except Exception as error:
        number = errno_of(error)
        if number is None or _names_another(error, pathlib.Path(path)):
            raise
        raise OSError(number, os.strerror(number), str(path)) from error


def errno_of(error):
    """Returns the `errno` of an error that the user's environment caused.

    Args:
        error: exception of any library. Unless it is an `OSError`, its message is
            searched.

    Returns:
        int, one of `ENVIRONMENT`; `None` for other errors.
    """
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno if error.errno in ENVIRONMENT else None
    if isinstance(error, KerasVATTError):
        return None  # Its message already says what to do.
    text = str(error)
    found = _NUMBER.search(text)
    if found is not None:
        number = int(next(filter(None, found.groups())))
        return number if number in ENVIRONMENT else None
    return next((n for n in sorted(ENVIRONMENT) if os.strerror(n) in text), None)


def _names_another(error, path):
    """Returns whether an error names a file other than the path or its partial file."""
    name = getattr(error, "filename", None)
    if not isinstance(name, str | bytes | os.PathLike):
        return False
    hidden = str(path.with_name(f".{path.name}")) if path.name else str(path)
    name = os.fsdecode(name)
    return name != str(path) and not name.startswith(hidden)
