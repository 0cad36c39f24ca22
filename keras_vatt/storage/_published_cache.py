"""The local cache of the presets that are made from published checkpoints.

It is in the assets folder of `huggingface_hub`, which `HF_HOME` and `HF_ASSETS_CACHE`
move: `keras_vatt/presets/NAME` is a preset, `keras_vatt/checkpoints/NAME` holds the
files of its checkpoint while they are downloaded and converted.
"""

import contextlib
import pathlib
from collections.abc import Iterator

import filelock
from huggingface_hub import constants

from keras_vatt._os_errors import os_errors_at
from keras_vatt.storage import _preset_files as files


def cached_preset(name: str) -> pathlib.Path | None:
    """Returns the folder of a published preset in the cache; `None` if it isn't there.

    Args:
        name: string, the name of a built-in preset.
    """
    folder = files.find_folder(preset_folder(name))
    is_preset = folder is not None and (folder / files.BACKBONE).is_file()
    return folder if is_preset else None


def preset_folder(name: str) -> pathlib.Path:
    """Returns the path in the cache of a published preset."""
    return _root() / "presets" / name


def checkpoint_folder(name: str) -> pathlib.Path:
    """Returns the path in the cache of the checkpoint of a published preset."""
    return _root() / "checkpoints" / name


def vocabulary_path() -> pathlib.Path:
    """Returns the path in the cache of the authors' vocabulary."""
    return _root() / "vocabulary" / "howto100m_en.txt"


@contextlib.contextmanager
def cache_lock(name: str) -> Iterator[None]:
    """Waits until no other process downloads or converts an entry of the cache.

    Args:
        name: string, the name of the entry.

    Raises:
        OSError: if the cache can't be written to.
    """
    path = _root() / "locks" / f"{name}.lock"
    with os_errors_at(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(path)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _root():
    return pathlib.Path(constants.HF_ASSETS_CACHE).expanduser() / "keras_vatt"
