"""Local copies of remote files, for libraries that read local files only."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib

import filelock

from keras_vatt._files import atomic_write, check_free_space
from keras_vatt._remote_files import file_size, file_state, read_bytes

_CHUNK_BYTES = 64 * 2**20


def cache_folder() -> pathlib.Path:
    """Returns the folder of the copies.

    It is the environment variable `KERAS_VATT_CACHE`, or `keras_vatt/shards` in the
    cache folder of the user.
    """
    home = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    default = pathlib.Path(home) / "keras_vatt" / "shards"
    return pathlib.Path(os.environ.get("KERAS_VATT_CACHE") or default)


def local_copy(url: str) -> str:
    """Returns the path of a local copy of a remote file, which is made if needed.

    A file that has changed since then is copied again.

    Args:
        url: str.

    Returns:
        str.

    Raises:
        FileNotFoundError: If there is no such file.
        RemoteFileError: If the store can't be reached, or refuses to answer.
        OSError: If the disk is full.
    """
    state = json.dumps([url, file_state(url)])
    name = f"{hashlib.sha256(state.encode()).hexdigest()[:24]}-{url.rpartition('/')[2]}"
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    with filelock.FileLock(folder / f"{name}.lock"):
        if not path.exists():
            _download(url, path)
    return str(path)


def _download(url, path):
    size = file_size(url)
    check_free_space(path.parent, size)
    with atomic_write(path) as partial, partial.open("wb") as file:
        for start in range(0, size, _CHUNK_BYTES):
            file.write(read_bytes(url, start, min(start + _CHUNK_BYTES, size)))
