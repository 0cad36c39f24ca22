"""One-line messages for errors of the operating system, each with a remedy."""

import errno
import os

from keras_vatt._os_errors import ENVIRONMENT

_REMEDIES = {
    "ENOSPC": "free some space, or choose another disk",
    "EDQUOT": "free some of your quota, or choose another disk",
    "EFBIG": "choose another disk, or raise the limit (`ulimit -f`)",
    "EROFS": "choose a folder that you can write to",
    "EACCES": "change its permissions, or choose another path",
    "EPERM": "change its permissions, or choose another path",
    "EIO": "check the disk or the connection to it",
    "ELOOP": "the links form a loop: remove them, or choose another path",
    "ENAMETOOLONG": "choose a shorter name",
    "ENOTDIR": "expected a folder, found a file: choose another path",
    "EISDIR": "expected a file, found a folder: choose another path",
    "ENOENT": "check the path; its folder must exist",
    "EEXIST": "choose another name, or remove it",
    "EMFILE": "raise the limit on open files (`ulimit -n`)",
    "ENFILE": "close other programs",
    "ENOMEM": "close other programs, or use a machine with more memory",
    "ESTALE": "check the connection to the disk",
    "ENODEV": "check the disk",
    "ENXIO": "check the disk",
}


def environment_message(error):
    """Returns a one-line message for an error that the user's environment caused.

    Args:
        error: `OSError`.

    Returns:
        String with the path, the reason and the remedy; `None` if the environment did
        not cause the error, which is a defect then.
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
