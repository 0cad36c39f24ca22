"""Errors of disks and folders, whichever library reports them."""

import contextlib
import errno
import os
import pathlib
import re

from keras_vatt._errors import KerasVATTError

# What a full disk, missing rights or a broken link make of a valid call.
_NAMES = "ENOSPC EDQUOT EFBIG EROFS EACCES EPERM EIO ELOOP ENAMETOOLONG ENOTDIR EISDIR"
_NAMES += " ENOENT EEXIST EMFILE ENFILE ENOMEM ESTALE ENODEV ENXIO"
ENVIRONMENT = frozenset(
    getattr(errno, name) for name in _NAMES.split() if hasattr(errno, name)
)

# The library of safetensors, Orbax' TensorStore, and HDF5, in this order.
_NUMBER = re.compile(r"os error (\d+)|os_error_code='(\d+)'|errno = (\d+)")


@contextlib.contextmanager
def os_errors_at(path):
    """Raises what the operating system refuses as an `OSError` that names a path.

    Libraries report a full disk or a read-only folder by errors of their own
    (`SafetensorError`, `tf.errors.OpError`, `RuntimeError`), and Python's own write
    leaves out the file. Errors that name another file are left as they are, and so are
    errors with other reasons.

    Args:
        path: string or path of the file or folder that is written in the block.

    Raises:
        OSError: of the class that belongs to its `errno`, such as `PermissionError`.

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
    """Returns why the operating system refused, or `None` for other errors.

    Args:
        error: the exception of a library. Its message is searched if it is no
            `OSError`.

    Returns:
        int, one of `ENVIRONMENT`, or `None`.
    """
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno if error.errno in ENVIRONMENT else None
    if isinstance(error, KerasVATTError):
        return None  # It says what to do.
    text = str(error)
    found = _NUMBER.search(text)
    if found is not None:
        number = int(next(filter(None, found.groups())))
        return number if number in ENVIRONMENT else None
    return next((n for n in sorted(ENVIRONMENT) if os.strerror(n) in text), None)


def _names_another(error, path):
    """Whether an error names a file other than the path and its hidden partial one."""
    name = getattr(error, "filename", None)
    if not isinstance(name, str | bytes | os.PathLike):
        return False
    hidden = str(path.with_name(f".{path.name}")) if path.name else str(path)
    name = os.fsdecode(name)
    return name != str(path) and not name.startswith(hidden)
