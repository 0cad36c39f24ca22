"""Features of clips, stored on disk so that an interrupted run resumes."""

from __future__ import annotations

import json
import os
import pathlib
import time

import numpy as np
import safetensors
import safetensors.numpy

from keras_vatt._file_stamps import file_stamp
from keras_vatt._files import atomic_write
from keras_vatt._untrusted import parse_json, regular_file
from keras_vatt.data._report import Finding, Problem
from keras_vatt.data.decoding._media_segment import MediaSegment
from keras_vatt.inference._errors import FeatureStoreError
from keras_vatt.inference._pipeline import Outputs

# Number of clips, and of seconds, after which features are written: the most that a
# crash can cost.
_MAX_CLIPS = 256
_MAX_SECONDS = 30.0
_FILES = "[0-9]*.safetensors"
# 256 clips of 12 windows of the widest published model take 13 MB.
_MAX_BYTES = 2_000_000_000
# Errors that the library, and the code that reads its results, raise on damaged files.
_DAMAGE = (safetensors.SafetensorError, OSError, ValueError, LookupError, TypeError)
_DAMAGE += (RecursionError,)


class FeatureStore:
    """A store of the features of clips in one modality, see `embed`.

    Features are written to safetensors files of a folder, atomically. A file that has
    changed since its features were computed counts as another clip.

    Args:
        folder: string or path of the folder, which is created if it is missing.
            Defaults to `None`: features are kept only in memory.

    Raises:
        FeatureStoreError: if a file in the folder is damaged.
    """

    def __init__(self, folder: str | os.PathLike | None = None):
        self._folder = None if folder is None else pathlib.Path(folder)
        self._features = {}
        self._short = {}  # Reasons, by the keys of clips that were filled.
        self._keys = {}
        self._new = []
        self._written = time.monotonic()
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            for path in sorted(self._folder.glob(_FILES)):
                self._read(path)

    def __contains__(self, clip: MediaSegment) -> bool:
        return self._key_of(clip) in self._features

    def __getitem__(self, clip: MediaSegment) -> dict[str, np.ndarray]:
        return self._features[self._key_of(clip)]

    def add(
        self,
        clip: MediaSegment,
        outputs: Outputs,
        findings: tuple[Finding, ...] = (),
    ) -> None:
        """Adds the features of a clip.

        Args:
            clip: `keras_vatt.data.MediaSegment`.
            outputs: dict from one modality to a dict from name to array. All clips have
                the same names and shapes.
            findings: tuple of `Finding`; those of short clips are stored.
        """
        key = self._key_of(clip)
        (self._features[key],) = outputs.values()
        for finding in findings:
            if finding.problem is Problem.SHORT:
                self._short[key] = finding.reason
        if self._folder is None:
            return
        self._new.append(key)
        overdue = time.monotonic() - self._written > _MAX_SECONDS
        if len(self._new) >= _MAX_CLIPS or overdue:
            self.flush()

    def findings_of(self, clip: MediaSegment) -> list[Finding]:
        """Returns the stored findings of a clip, including those of an earlier run."""
        reason = self._short.get(self._key_of(clip))
        if reason is None:
            return []
        return [Finding(Problem.SHORT, str(clip.path), reason)]

    def flush(self) -> None:
        """Writes the features that are not on disk yet."""
        if not self._new:
            return
        features = [self._features[key] for key in self._new]
        tensors = {
            name: np.stack([arrays[name] for arrays in features])
            for name in features[0]
        }
        path = self._folder / f"{self._next_number():06d}.safetensors"
        short = {key: self._short[key] for key in self._new if key in self._short}
        metadata = {"clips": json.dumps(self._new), "short": json.dumps(short)}
        with atomic_write(path) as partial:
            safetensors.numpy.save_file(tensors, partial, metadata)
        self._new = []
        self._written = time.monotonic()

    def _key_of(self, clip):
        if clip not in self._keys:
            self._keys[clip] = _key_of(clip)
        return self._keys[clip]

    def _next_number(self):
        numbers = (int(path.stem) for path in self._folder.glob(_FILES))
        return max(numbers, default=-1) + 1

    def _read(self, path):
        regular_file(self._folder, path.name, FeatureStoreError, _MAX_BYTES)
        try:
            with safetensors.safe_open(path, "numpy") as file:
                metadata = file.metadata()
                keys = parse_json(metadata["clips"])
                short = _checked_reasons(parse_json(metadata["short"]))
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            self._features |= _by_key(keys, tensors)
            self._short |= short
        except _DAMAGE as error:
            raise FeatureStoreError(
                f"{path} is damaged ({error}). Delete it: its features are computed "
                "again."
            ) from error


def _key_of(clip):
    """Returns a key that changes if another file takes the place of this one."""
    file = file_stamp(clip.path)
    return f"{clip.path} {clip.start} {clip.end} {file}"


def _checked_reasons(reasons):
    if not isinstance(reasons, dict):
        raise TypeError("the reasons of its short clips are not a JSON object")
    if not all(isinstance(reason, str) for reason in reasons.values()):
        raise TypeError("the reasons of its short clips are not strings")
    return reasons


def _by_key(keys, tensors):
    """Splits the arrays of all clips into a dict from key to the arrays of a clip."""
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise TypeError("the names of its clips are not a list of strings")
    if not tensors or any(
        values.ndim < 1 or len(values) != len(keys) for values in tensors.values()
    ):
        raise ValueError("its arrays have another length than its list of clips")
    return {
        key: {name: values[index] for name, values in tensors.items()}
        for index, key in enumerate(keys)
    }
