"""Marks of files that change when a file is replaced."""

from __future__ import annotations

import os

from keras_vatt._remote_files import file_state, is_remote


def file_stamp(place: str | os.PathLike[str]) -> tuple | None:
    """Returns JSON values that change when another file takes the place of this one.

    Args:
        place: str or path of a file, or its URL.

    Returns:
        Tuple of the size and the modification time in nanoseconds, or of what the store
        of a remote file has instead; `None` if the file can't be read.
    """
    try:
        if is_remote(place):
            return tuple(file_state(place))
        status = os.stat(place)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns
