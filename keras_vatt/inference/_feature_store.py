"""Features of finished clips, kept on disk, so that nothing is computed twice."""

import json
import pathlib
import time

import numpy as np
import safetensors
import safetensors.numpy

from keras_vatt._files import atomic_write
from keras_vatt._untrusted import parse_json, regular_file
from keras_vatt.inference._errors import FeatureStoreError

# Clips and seconds after which features are written: what a crash can cost.
_MAX_CLIPS = 256
_MAX_SECONDS = 30.0
_FILES = "[0-9]*.safetensors"
# 256 clips of 12 windows of the widest published model take 13 MB.
_MAX_BYTES = 2_000_000_000
# What a damaged file makes of the library, and of the code that reads it.
_DAMAGE = (safetensors.SafetensorError, OSError, ValueError, LookupError, TypeError)
_DAMAGE += (RecursionError,)


class FeatureStore:
    """Arrays of clips by key, in safetensors files of a folder.

    Files are written aside and then renamed: a crash leaves whole ones.

    Args:
        folder: path, made if it is not there. Defaults to `None`: in memory alone.

    Attributes:
        short: dict from the key of each clip that was repeated or padded to a string,
            why and how.

    Raises:
        FeatureStoreError: if a file in the folder is damaged.
    """

    def __init__(self, folder=None):
        self._folder = None if folder is None else pathlib.Path(folder)
        self.short = {}
        self._features = {}
        self._new = []
        self._written = time.monotonic()
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            for path in sorted(self._folder.glob(_FILES)):
                self._read(path)

    def __contains__(self, key):
        return key in self._features

    def __getitem__(self, key):
        return self._features[key]

    def add(self, key, features, short=None):
        """Keep the features of a clip.

        Args:
            key: string.
            features: dict from name to array; names and shapes are those of all clips.
            short: string, see `short` of the class. Defaults to `None`.
        """
        self._features[key] = features
        if short is not None:
            self.short[key] = short
        if self._folder is None:
            return
        self._new.append(key)
        overdue = time.monotonic() - self._written > _MAX_SECONDS
        if len(self._new) >= _MAX_CLIPS or overdue:
            self.flush()

    def flush(self):
        """Write what is not on disk yet."""
        if not self._new:
            return
        rows = [self._features[key] for key in self._new]
        tensors = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
        path = self._folder / f"{self._next_number():06d}.safetensors"
        short = {key: self.short[key] for key in self._new if key in self.short}
        metadata = {"clips": json.dumps(self._new), "short": json.dumps(short)}
        with atomic_write(path) as partial:
            safetensors.numpy.save_file(tensors, partial, metadata)
        self._new = []
        self._written = time.monotonic()

    def _next_number(self):
        numbers = (int(path.stem) for path in self._folder.glob(_FILES))
        return max(numbers, default=-1) + 1

    def _read(self, path):
        regular_file(self._folder, path.name, FeatureStoreError, _MAX_BYTES)
        try:
            with safetensors.safe_open(path, "numpy") as file:
                metadata = file.metadata()
                keys = parse_json(metadata["clips"])
                short = _strings(parse_json(metadata["short"]))
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            self._features |= _by_key(keys, tensors)
            self.short |= short
        except _DAMAGE as error:
            raise FeatureStoreError(
                f"{path} is damaged ({error}): delete it, and its features are "
                "computed again"
            ) from error


def _strings(reasons):
    if not isinstance(reasons, dict):
        raise TypeError("its short clips are no object")
    if not all(isinstance(reason, str) for reason in reasons.values()):
        raise TypeError("its short clips have reasons that are no strings")
    return reasons


def _by_key(keys, tensors):
    """Dict from the key of a clip to its arrays, out of arrays of all clips."""
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise TypeError("the names of its clips are no list of strings")
    if not tensors or any(
        rows.ndim < 1 or len(rows) != len(keys) for rows in tensors.values()
    ):
        raise ValueError("it has another number of rows than of clips")
    return {
        key: {name: rows[index] for name, rows in tensors.items()}
        for index, key in enumerate(keys)
    }
