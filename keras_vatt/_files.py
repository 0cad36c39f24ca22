"""Atomic writes: a file or a folder is there whole, or not at all. And checksums."""

import contextlib
import errno
import glob
import hashlib
import os
import pathlib
import shutil
import tempfile

import filelock

from keras_vatt._os_errors import os_errors_at

_LOCK = ".lock"


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
        OSError: if the file can't be written, whichever library wrote it. It names
            `path`.

    Example:
    ```python
    with atomic_write("settings.json") as partial:
        partial.write_text("{}", encoding="utf-8")
    ```
    """
    path = pathlib.Path(path)
    partial = path.with_name(f".{path.name}.partial")
    with os_errors_at(path):
        try:
            # It may be a stranger's link, through which another file would be written.
            partial.unlink(missing_ok=True)
            yield partial
            with partial.open("rb") as file:
                os.fsync(file.fileno())
            os.replace(partial, path)
        except BaseException:
            with contextlib.suppress(OSError):
                partial.unlink()
            raise


def check_space(path, size):
    """Makes sure that a file of some size can be written, before a library tries.

    PyTorch and HDF5 end the process if the disk is full when they close a file.

    Args:
        path: string or path of the file, in a folder that exists.
        size: int, bytes.

    Raises:
        OSError: if the disk is full, the quota is used up, the file would be larger
            than is allowed, or the folder can't be written.
    """
    path = pathlib.Path(path)
    partial = path.with_name(f".{path.name}.partial")
    with os_errors_at(path):
        try:
            with partial.open("wb") as file:
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(file.fileno(), 0, max(size, 1))
        finally:
            partial.unlink(missing_ok=True)


def check_free_space(folder, size):
    """Makes sure that a disk has room, before a library writes in many threads.

    Args:
        folder: string or path, which may not exist yet.
        size: int, bytes.

    Raises:
        OSError: if the disk has less room.
    """
    folder = pathlib.Path(folder)
    existing = next(path for path in (folder, *folder.parents) if path.is_dir())
    if shutil.disk_usage(existing).free < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))


@contextlib.contextmanager
def scratch_folder(parent, prefix, contents=()):
    """Yields a new hidden folder for files that are moved to their place later.

    It is removed at the end. A killed process leaves it behind, so folders that
    earlier calls with the same `parent` and `prefix` have left are removed first. A
    folder that a live process is writing is locked, and left alone.

    Args:
        parent: string or path of a folder that exists.
        prefix: string, the beginning of its name, such as `".partial-"`.
        contents: tuple of strings, the names of all that the caller puts into it. A
            folder that holds anything else is another's, and is left alone.

    Raises:
        OSError: if the folder can't be made.

    Example:
    ```python
    with scratch_folder(".", ".preset-", ("new",)) as folder:
        (folder / "new").mkdir()
        (folder / "new").rename("preset")
    ```
    """
    parent = pathlib.Path(parent)
    _remove_abandoned(parent, prefix, {_LOCK, *contents})
    folder, lock = _make_locked_folder(parent, prefix)
    try:
        yield folder
    finally:
        # In this order: Windows doesn't remove a file that is open.
        lock.release()
        shutil.rmtree(folder, ignore_errors=True)


def _make_locked_folder(parent, prefix):
    while True:
        folder = pathlib.Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        lock = filelock.FileLock(folder / _LOCK)
        try:
            lock.acquire()
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        # Before it was locked, another process may have taken it for abandoned.
        if (folder / _LOCK).exists():
            return folder, lock
        lock.release()


def _remove_abandoned(parent, prefix, contents):
    for folder in parent.glob(f"{glob.escape(prefix)}*"):
        # A lock that is held raises `filelock.Timeout`, an `OSError`.
        with contextlib.suppress(OSError):
            names = {entry.name for entry in folder.iterdir()}
            if folder.is_symlink() or not names <= contents:
                continue
            with filelock.FileLock(folder / _LOCK, timeout=0):
                shutil.rmtree(folder, ignore_errors=True)


def checksum(path):
    """SHA-256 of a file, a string of hexadecimal digits."""
    with open(path, "rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
