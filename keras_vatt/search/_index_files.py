"""The folder of an index: `index.json`, and the shards that it names.

`index.json` is written last and replaced as a whole, so the index is always that of
some moment: what it doesn't name is left over from a run that was killed.
"""

import hashlib
import itertools
import os
import pathlib
import re

import numpy as np

from keras_vatt._signature import is_signed, sign
from keras_vatt._untrusted import contained_path
from keras_vatt.search._errors import MediaIndexError
from keras_vatt.search._shards import (
    EMBEDDINGS,
    Shard,
    damaged,
    read_json,
    read_shard,
    write_json,
    write_shard,
)

INDEX = "index.json"
REPORT = "report.json"
_SHARDS = "shards"
_FORMAT = "keras_vatt media index"
_VERSION = 1
_SHARD_NAME = re.compile(r"[0-9a-z-]{1,80}")

# Windows of a shard of a finished index. Making one takes as much memory: 80 MB for
# the widths of the paper's models.
SHARD_WINDOWS = 16_384


class IndexFolder:
    """Reads and writes the files of one index.

    Args:
        path: string or path of the folder.
    """

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self._shards = self.path / _SHARDS

    def exists(self):
        """Whether there is an index, finished or not; a bool."""
        return os.path.lexists(self.path / INDEX)

    def check_free(self):
        """Refuse a folder that holds something else.

        Raises:
            MediaIndexError: if the folder isn't empty and holds no index.
        """
        if self.exists() or not self.path.exists():
            return
        others = {entry.name for entry in self.path.iterdir()} - {_SHARDS}
        if others:
            raise MediaIndexError(
                f"The folder {str(self.path)!r} is not empty and holds no index: "
                "choose another."
            )

    def read_header(self):
        """What `index.json` says, a dict.

        Raises:
            MediaIndexError: if there is no index, or one of another version.
        """
        if not self.exists():
            raise MediaIndexError(
                f"There is no index in {str(self.path)!r}: make one by `keras-vatt "
                "embed FOLDER --preset PRESET --output INDEX`."
            )
        header = read_json(self.path, INDEX)
        if header.get("format") != _FORMAT:
            raise damaged(self.path / INDEX, "it is no index of media")
        if header.get("version") != _VERSION:
            raise MediaIndexError(
                f"The index {str(self.path)!r} has version {header.get('version')}, "
                f"and this release reads version {_VERSION}. Make it again."
            )
        for key, kind in (("model", dict), ("folder", str), ("shards", list)):
            if not isinstance(header.get(key), kind):
                raise damaged(self.path / INDEX, f"{key!r} is missing")
        return header

    def write_header(self, header):
        """Replace `index.json`; it is signed, as its names come from this user."""
        self.path.mkdir(parents=True, exist_ok=True)
        marked = {"format": _FORMAT, "version": _VERSION} | header
        marked["signature"] = sign(_names_in(header))
        write_json(self.path / INDEX, marked)

    def read_shards(self, header):
        """The shards that a header names, a list of `Shard`.

        Raises:
            MediaIndexError: if one is missing or damaged.
        """
        for name in header["shards"]:
            if not isinstance(name, str) or not _SHARD_NAME.fullmatch(name):
                raise damaged(self.path / INDEX, f"{name!r:.100} is no shard")
        if len(set(header["shards"])) < len(header["shards"]):
            raise damaged(self.path / INDEX, "it names a shard twice")
        return [read_shard(self._shards, name) for name in header["shards"]]

    def read_shard(self, name):
        """One `Shard` by its name."""
        return read_shard(self._shards, name)

    def write_shard(self, shard, number):
        """Write a shard.

        Args:
            shard: `Shard`.
            number: int, its place among the shards.

        Returns:
            string, its name, which tells its content.
        """
        contained_path(self.path, _SHARDS, MediaIndexError)
        name = f"{number:05d}-{_fingerprint(shard)}"
        write_shard(shard, self._shards, name)
        return name

    def remove_other_shards(self, header):
        """Remove what is left over from earlier runs."""
        shards = contained_path(self.path, _SHARDS, MediaIndexError)
        if shards is None:
            return
        for path in shards.iterdir():
            if path.name.partition(".")[0] not in header["shards"]:
                path.unlink()


def is_own(header):
    """Returns whether this user made an index, and so gave the names in it."""
    return is_signed(_names_in(header), header.get("signature"))


def _names_in(header):
    """Names in an index of what is outside of its folder."""
    preset = header["model"].get("preset")
    names = {"file": INDEX, "preset": preset, "folder": header.get("folder")}
    # Indexes of earlier versions were signed without it.
    if "allow_outside" in header:
        names["allow_outside"] = header["allow_outside"]
    return names


def folder_as_seen_from(index, folder):
    """Where the media lie, as an index says it: both may be moved together."""
    folder, index = os.path.realpath(folder), os.path.realpath(index)
    try:
        return pathlib.Path(os.path.relpath(folder, index)).as_posix()
    except ValueError:  # On another drive.
        return pathlib.Path(folder).as_posix()


def gather(shards, windows):
    """Yield shards of equal size with the rows of given windows in their order.

    Args:
        shards: list of `Shard`, which have all the windows.
        windows: list of `Window`.

    Yields:
        `Shard`.
    """
    found = {
        window: (shard, number)
        for shard in shards
        for number, window in enumerate(shard.windows)
    }
    row_numbers = {
        (id(shard), modality): {owner: row for row, owner in enumerate(owners)}
        for shard in shards
        for modality, owners in shard.rows.items()
    }
    for first in range(0, len(windows), SHARD_WINDOWS):
        chosen = windows[first : first + SHARD_WINDOWS]
        yield _gathered([found[window] for window in chosen], chosen, row_numbers)


def _gathered(places, windows, row_numbers):
    rows, matrices = {}, {}
    for modality, names in EMBEDDINGS.items():
        with_rows = [
            (number, shard, row_numbers[id(shard), modality][old])
            for number, (shard, old) in enumerate(places)
            if old in row_numbers.get((id(shard), modality), ())
        ]
        rows[modality] = [number for number, _, _ in with_rows]
        for name in names:
            if with_rows and name in with_rows[0][1].matrices:
                matrices[name] = _read_rows(name, with_rows)
    findings = {
        number: shard.findings[old]
        for number, (shard, old) in enumerate(places)
        if old in shard.findings
    }
    return Shard(windows, rows, matrices, findings)


def _read_rows(name, with_rows):
    """Rows of a matrix from several shards; neighbours are read together."""
    runs = itertools.groupby(
        enumerate(with_rows), lambda entry: (id(entry[1][1]), entry[1][2] - entry[0])
    )
    read = []
    for _, run in runs:
        run = [place for _, place in run]
        (_, shard, first), (_, _, last) = run[0], run[-1]
        read.append(shard.matrices[name][first : last + 1])
    return np.concatenate(read)


def _fingerprint(shard):
    digest = hashlib.sha256(repr((shard.windows, shard.rows, shard.findings)).encode())
    for name, matrix in sorted(shard.matrices.items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(matrix[:]).view(np.uint8))
    return digest.hexdigest()[:16]
