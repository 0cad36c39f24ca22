"""Atomic writes: a file is there whole, or not at all."""

import contextlib
import os
import pathlib


@contextlib.contextmanager
def atomic_write(path):
    """Yields a path to write to, whose file replaces `path` at the end.

    The parts of the file reach the disk before it gets its name, so that neither a
    killed process nor a power failure leaves half a file. On an error, `path` is as it
    was and the partial file is removed. A partial file that a killed process has left
    is overwritten by the next write.

    Args:
        path: string or path of the file, in a folder that exists.

    Raises:
        OSError: if the file can't be written.

    Example:
    ```python
    with atomic_write("settings.json") as partial:
        partial.write_text("{}", encoding="utf-8")
    ```
    """
    path = pathlib.Path(path)
    partial = path.with_name(f".{path.name}.partial")
    try:
        # It may be a link of a stranger's, through which another file would be written.
        partial.unlink(missing_ok=True)
        yield partial
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
