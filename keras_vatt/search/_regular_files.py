"""Opening of files that another user of the machine may replace meanwhile."""

import errno
import os
import pathlib
import stat
import typing

# Folders on the way are not listed, so that right is not needed.
_PASS = getattr(os, "O_PATH", getattr(os, "O_SEARCH", os.O_RDONLY))
_FOLDER = _PASS | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Opening a FIFO or a device without O_NONBLOCK could wait forever.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def open_regular_file(path: pathlib.Path) -> typing.BinaryIO:
    """Opens a regular file without following a symbolic link anywhere in its path.

    A link that replaces the file, or one of its folders, between the check of a path
    and this call is refused, and so is a FIFO or a device.

    Args:
        path: `pathlib.Path`, absolute and resolved.

    Returns:
        Binary file object.

    Raises:
        OSError: if there is no such file, it is not a regular one, or a part of the
            path is a symbolic link.
    """
    folder = os.open(path.anchor, _FOLDER)
    try:
        for name in path.parts[1:-1]:
            folder, outer = os.open(name, _FOLDER, dir_fd=folder), folder
            os.close(outer)
        number = os.open(path.name, _FILE, dir_fd=folder)
    finally:
        os.close(folder)
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise OSError(errno.EINVAL, "is not a regular file", str(path))
    return os.fdopen(number, "rb")
