"""Atomic writes of files, checks of disk space, scratch folders, and checksums."""

import contextlib
import errno
import glob
import hashlib
import json
import os
import pathlib
import shutil
import tempfile

import filelock

from keras_vatt._os_errors import os_errors_at

_LOCK = ".lock"


@contextlib.contextmanager
def atomic_write(path):
    """Yields a temporary path to write to, and renames that file to `path` at the end.

    The content is flushed to the disk before the rename, so that neither a killed
    process nor a power failure leaves a partial file at `path`. On an error, `path` is
    unchanged and the temporary file is removed. The next write replaces a temporary
    file that a killed process has left.

    Args:
        path: string or path of the file, in a folder that exists.

    Raises:
        OSError: if the file can't be written. It names `path`, and replaces exceptions
            of other classes by which libraries report such errors.

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
            # In a shared folder, it may be a link that leads to some other file.
            partial.unlink(missing_ok=True)
            yield partial
            with partial.open("rb") as file:
                os.fsync(file.fileno())
            os.replace(partial, path)
        except BaseException:
            with contextlib.suppress(OSError):
                partial.unlink()
            raise


def write_text(path, text):
    """Writes a text file atomically, in UTF-8; see `atomic_write`.

    Args:
        path: string or path of the file, in a folder that exists.
        text: string, its content, to which a line break is added if it lacks one.

    Raises:
        OSError: if the file can't be written.
    """
    with atomic_write(path) as partial:
        partial.write_text(text.rstrip("\n") + "\n", encoding="utf-8")


def write_json(path, value, indent=4):
    """Writes a JSON file atomically; see `atomic_write`.

    Args:
        path: string or path of the file, in a folder that exists.
        value: its content: dicts, lists, strings, numbers.
        indent: int, see `json.dumps`. Defaults to `4`; `None` is one line.

    Raises:
        OSError: if the file can't be written.
    """
    write_text(path, json.dumps(value, indent=indent))


def is_free_folder(folder, ignored=()):
    """Returns whether a folder can take new files: it is empty, or does not exist.

    Args:
        folder: string or path.
        ignored: container of strings, names of entries that don't count. Defaults to
            `()`.
    """
    folder = pathlib.Path(folder)
    if not folder.exists():
        return True
    return folder.is_dir() and all(x.name in ignored for x in folder.iterdir())


def check_space(path, size):
    """Raises an error if a file of the given size can't be written.

    Call it before PyTorch or HDF5 write a file: they abort the process if the disk is
    full when they close it.

    Args:
        path: string or path of the file, in a folder that exists.
        size: int. Size in bytes.

    Raises:
        OSError: if the disk or the quota is full, the size exceeds the limit on file
            sizes, or the folder can't be written to.
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
    """Raises an error if a disk has less free space than a library needs.

    Args:
        folder: string or path of the folder to write to, which need not exist.
        size: int. Required space in bytes.

    Raises:
        OSError: if the disk has less free space.
    """
    folder = pathlib.Path(folder)
    existing = next(path for path in (folder, *folder.parents) if path.is_dir())
    if shutil.disk_usage(existing).free < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))


@contextlib.contextmanager
def scratch_folder(parent, prefix, contents=()):
    """Yields a new hidden folder for files that are moved elsewhere when complete.

    The folder is removed at the end. Folders that killed processes have left with the
    same `parent` and `prefix` are removed first. Folders that are in use by another
    process are locked and not removed.

    Args:
        parent: string or path of a folder that exists.
        prefix: string. Beginning of the folder's name, such as `".partial-"`.
        contents: tuple of strings. Names of all files and folders that the caller
            creates in it. Folders with any other content are not removed.

    Raises:
        OSError: if the folder can't be created.

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
        # The lock is released first, as Windows can't remove open files.
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
        # Another process may have removed it as abandoned before it was locked.
        if (folder / _LOCK).exists():
            return folder, lock
        lock.release()


def _remove_abandoned(parent, prefix, contents):
    for folder in parent.glob(f"{glob.escape(prefix)}*"):
        # A lock that another process holds raises `filelock.Timeout`, an `OSError`.
        with contextlib.suppress(OSError):
            names = {entry.name for entry in folder.iterdir()}
            if folder.is_symlink() or not names <= contents:
                continue
            with filelock.FileLock(folder / _LOCK, timeout=0):
                shutil.rmtree(folder, ignore_errors=True)


def checksum(path):
    """Computes the SHA-256 of a file, a string of hexadecimal digits."""
    with open(path, "rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
