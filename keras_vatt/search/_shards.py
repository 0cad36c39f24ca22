"""Shards of an index: the embeddings of some windows, and which windows they are."""

import collections
import dataclasses
import json
import math

import numpy as np
import safetensors
import safetensors.numpy

from keras_vatt._files import atomic_write
from keras_vatt._untrusted import read_object, regular_file
from keras_vatt.data._report import Finding, Problem
from keras_vatt.search._errors import MediaIndexError
from keras_vatt.search._media_files import MediaFile
from keras_vatt.search._windows import Window

# A shard of as many windows as one may have takes about 5 MB.
_MAX_JSON_BYTES = 32_000_000

# The matrices of a shard, by modality.
EMBEDDINGS = {
    "video": ("video_to_text", "video_to_audio"),
    "audio": ("audio_to_video",),
}


@dataclasses.dataclass
class Shard:
    """Windows in order, and the rows that a model gave for them.

    Args:
        windows: list of `Window`.
        rows: dict from `"video"` and `"audio"` to a list of ints: which window each
            row of that modality's matrices belongs to, in ascending order.
        matrices: dict from the names in `EMBEDDINGS` to a float32 array
            `(rows, dim)`, or to something that is sliced like one.
        findings: dict from the number of a window to a list of `Finding`.
    """

    windows: list
    rows: dict
    matrices: dict
    findings: dict


def write_shard(shard, folder, name):
    """Write a shard; it is there once its JSON file is, or not at all.

    Args:
        shard: `Shard`.
        folder: `pathlib.Path`, made if it is missing.
        name: string, the name of its files without their suffixes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(folder / f"{name}.safetensors") as partial:
        safetensors.numpy.save_file(
            {key: np.ascontiguousarray(m) for key, m in shard.matrices.items()}, partial
        )
    files = list(dict.fromkeys(window.file for window in shard.windows))
    numbers = {file: number for number, file in enumerate(files)}
    content = {
        "files": [dataclasses.astuple(file) for file in files],
        "file": [numbers[window.file] for window in shard.windows],
        "start": [window.start for window in shard.windows],
        "end": [window.end for window in shard.windows],
        "rows": shard.rows,
        "failures": {
            str(number): [(f.problem, f.reason) for f in found]
            for number, found in sorted(shard.findings.items())
        },
    }
    write_json(folder / f"{name}.json", content)


def read_shard(folder, name):
    """Read a shard; its matrices stay on the disk until they are sliced.

    Args:
        folder: `pathlib.Path`.
        name: string.

    Returns:
        `Shard`.

    Raises:
        MediaIndexError: if it is missing or damaged.
    """
    path = folder / f"{name}.json"
    content = read_json(folder.parent, f"{folder.name}/{name}.json")
    try:
        files = [MediaFile(*map(_typed, entry)) for entry in content["files"]]
        columns = (content["file"], content["start"], content["end"])
        windows = [
            Window(files[_index(number)], _seconds(start), _seconds(end))
            for number, start, end in zip(*columns, strict=True)
        ]
        findings = {
            int(number): [
                Finding(
                    Problem(problem),
                    windows[_index(int(number))].file.path,
                    str(reason),
                )
                for problem, reason in found
            ]
            for number, found in content["failures"].items()
        }
        matrices = _open_matrices(folder, name)
        shard = Shard(windows, content["rows"], matrices, findings)
        _check_rows(shard)
    except (
        *(OSError, ValueError, TypeError, LookupError, AttributeError),
        safetensors.SafetensorError,
    ) as error:
        raise damaged(path, error) from error
    return shard


def write_json(path, content):
    """Write a JSON file that is whole or not there."""
    with atomic_write(path) as partial:
        partial.write_text(json.dumps(content) + "\n", encoding="utf-8")


def read_json(folder, name):
    """The object in a JSON file of an index.

    Args:
        folder: `pathlib.Path` of the index.
        name: string, the relative path of the file.

    Raises:
        MediaIndexError: if it is missing, no regular file inside of the folder, too
            large, or no JSON object.
    """
    try:
        content = read_object(folder, name, ValueError, _MAX_JSON_BYTES)
    except ValueError as error:
        raise damaged(folder / name, error) from error
    if content is None:
        raise damaged(folder / name, "it is missing")
    return content


def damaged(path, why):
    """The error of a file of an index that can't be used."""
    return MediaIndexError(
        f"{str(path)!r} of the index can't be read ({why}). Make the index again: "
        "remove its folder, and run `keras-vatt embed`."
    )


class _Matrix:
    """A matrix in a safetensors file, of which slices are read."""

    def __init__(self, file, name):
        self._slice = file.get_slice(name)
        self.shape = tuple(self._slice.get_shape())
        if len(self.shape) != 2 or self._slice.get_dtype() != "F32":
            raise ValueError(f"{name} is no float32 matrix")

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, rows):
        # Unlike NumPy's, a slice of the library may not reach or go beyond the end.
        first, end, _ = rows.indices(len(self))
        if first >= end:
            return np.zeros((0, self.shape[1]), np.float32)
        return self._slice[first:end]


def _open_matrices(folder, name):
    name = f"{folder.name}/{name}.safetensors"
    path = regular_file(folder.parent, name, ValueError)
    if path is None:
        raise FileNotFoundError(f"{name} is missing")
    # The file is mapped into memory.
    file = safetensors.safe_open(path, framework="np")
    return {name: _Matrix(file, name) for name in file.keys()}  # noqa: SIM118


def _check_rows(shard):
    for modality, names in EMBEDDINGS.items():
        owners = shard.rows.get(modality, [])
        counts = collections.Counter(owners)
        wrong = any(type(owner) is not int for owner in owners)
        if wrong or owners != sorted(counts) or not _all_windows(owners, shard):
            raise ValueError(f"the rows of {modality} name no windows in order")
        for name in names:
            if name in shard.matrices and len(shard.matrices[name]) != len(owners):
                raise ValueError(f"{name} has another number of rows")


def _all_windows(owners, shard):
    return not owners or (owners[0] >= 0 and owners[-1] < len(shard.windows))


def _index(number):
    """A place in a list; Python would count one below 0 from the end."""
    if type(number) is not int or number < 0:
        raise ValueError(f"{number!r:.100} is no number of a file or window")
    return number


def _seconds(value):
    seconds = float(value)
    if not math.isfinite(seconds):
        raise ValueError(f"{value!r:.100} is no time")
    return seconds


def _typed(value):
    if not isinstance(value, str | int):
        raise TypeError(f"{value!r} is neither a path nor a number")
    return value
