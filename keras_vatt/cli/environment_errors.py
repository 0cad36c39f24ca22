"""Errors of disks and folders as one line that says what to do."""

import errno
import os

from keras_vatt._os_errors import ENVIRONMENT

_REMEDIES = {
    "ENOSPC": "free some space, or choose another disk",
    "EDQUOT": "free some of your quota, or choose another disk",
    "EFBIG": "choose another disk, or raise the limit (`ulimit -f`)",
    "EROFS": "choose a folder that can be written",
    "EACCES": "change its permissions, or choose another",
    "EPERM": "change its permissions, or choose another",
    "EIO": "check the disk or the connection to it",
    "ELOOP": "links lead back to themselves: remove them, or choose another",
    "ENAMETOOLONG": "choose a shorter name",
    "ENOTDIR": "a folder is needed where a file is: choose another",
    "EISDIR": "a file is needed where a folder is: choose another",
    "ENOENT": "check the name; its folder must exist",
    "EEXIST": "choose another name, or remove it",
    "EMFILE": "raise the limit of open files (`ulimit -n`)",
    "ENFILE": "close other programs",
    "ENOMEM": "close other programs, or use a machine with more memory",
    "ESTALE": "check the connection to the disk",
    "ENODEV": "check the disk",
    "ENXIO": "check the disk",
}


def environment_message(error):
    """Returns one line on an error of the user's disk, folders or limits.

    Args:
        error: `OSError`.

    Returns:
        String with the path, the reason and the remedy; `None` if the error is none
        of the environment, and so a defect.
    """
    if error.errno not in ENVIRONMENT:
        return None
    remedy = _REMEDIES[errno.errorcode[error.errno]]
    reason = os.strerror(error.errno)
    paths = [os.fsdecode(p) for p in (error.filename, error.filename2) if _is_path(p)]
    where = " and ".join(map(repr, paths)) or "the output"
    return f"{where}: {reason}; {remedy}"


def _is_path(name):
    return isinstance(name, str | bytes | os.PathLike)
