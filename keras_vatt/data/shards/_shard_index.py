"""The files next to the shards of a prepared dataset: its table, and an index each."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib

import numpy as np

from keras_vatt._files import write_json
from keras_vatt._remote_files import is_remote, join_url, read_bytes, write_bytes
from keras_vatt._untrusted import parse_object, read_object
from keras_vatt.data.shards._errors import ShardError

TABLE = "dataset.json"
VERSION = 1
# An index has the captions of its clips: some 100 bytes per clip.
_MAX_BYTES = 512 * 2**20
_ERRORS = (ValueError, LookupError, TypeError, AttributeError, OverflowError)


@dataclasses.dataclass(frozen=True)
class ShardEntry:
    """A shard in the table of a dataset.

    Args:
        name: str. Name of its file.
        records: int. Number of its clips.
        size: int. Size of its file in bytes.
        checksum: int. CRC-32C of its file.
    """

    name: str
    records: int
    size: int
    checksum: int


@dataclasses.dataclass(frozen=True)
class DatasetTable:
    """The table of a prepared dataset.

    Args:
        format: str. `"arrayrecord"`, `"webdataset"` or `"tfrecord"`.
        splits: dict from the name of a split to a tuple of `ShardEntry`.
        settings: dict of the settings with which it was prepared.
    """

    format: str
    splits: dict[str, tuple[ShardEntry, ...]]
    settings: dict


@dataclasses.dataclass(frozen=True)
class ShardIndex:
    """The index of a shard.

    Args:
        offsets: NumPy array of int64, or `None`; see the reader of the format.
        checksums: NumPy array of int64. CRC-32C of each record.
        captions: List of str. First caption of each clip, or `""`.
    """

    offsets: np.ndarray | None
    checksums: np.ndarray
    captions: list[str]


def index_name(shard: str) -> str:
    """Returns the name of the index of a shard."""
    return f"{shard}.index.json"


def read_table(folder: str) -> DatasetTable | None:
    """Reads the table of a prepared dataset.

    Args:
        folder: str. Path or URL.

    Returns:
        `DatasetTable`; `None` if the folder has none.

    Raises:
        ShardError: If it is damaged, or of another version.
    """
    table = read_json(folder, TABLE)
    if table is None:
        return None
    where = join(folder, TABLE)
    if table.get("version") != VERSION:
        raise ShardError(
            f"{where} has version {table.get('version')!r:.20}; this version of "
            f"keras_vatt reads version {VERSION}: prepare the dataset again"
        )
    try:
        splits = {
            str(split): tuple(_checked_entry(row) for row in rows)
            for split, rows in table["splits"].items()
        }
        return DatasetTable(str(table["format"]), splits, dict(table["settings"]))
    except _ERRORS as error:
        raise ShardError(f"{where} is damaged: {error}") from error


def write_table(folder: str, table: DatasetTable) -> None:
    """Writes the table of a prepared dataset."""
    splits = {
        split: [dataclasses.asdict(entry) for entry in entries]
        for split, entries in table.splits.items()
    }
    content = {"version": VERSION, "format": table.format, "splits": splits}
    save_json(folder, TABLE, content | {"settings": table.settings})


def read_index(folder: str, shard: str, records: int) -> ShardIndex:
    """Reads the index of a shard.

    Args:
        folder: str. Path or URL of the dataset.
        shard: str. Name of the shard.
        records: int. Number of its records in the table.

    Raises:
        ShardError: If it is missing or damaged.
    """
    name = index_name(shard)
    content = read_json(folder, name)
    if content is None:
        raise ShardError(f"its index {name} is missing")
    try:
        offsets, captions = content["offsets"], list(content["captions"])
        index = ShardIndex(
            None if offsets is None else _integers(offsets),
            _integers(content["checksums"]),
            captions,
        )
        if {len(index.checksums), len(captions)} != {records}:
            raise ValueError("it does not fit the table")
    except _ERRORS as error:
        raise ShardError(f"its index {name} is damaged ({error})") from error
    return index


def read_json(folder: str, name: str) -> dict | None:
    """Reads a JSON object in a local or remote folder; `None` if there is none."""
    if not is_remote(folder):
        return read_object(folder, name, ShardError, _MAX_BYTES)
    place = join(folder, name)
    try:
        text = read_bytes(place)
    except FileNotFoundError:
        return None
    return parse_object(text, place, ShardError)


def save_json(folder: str, name: str, content: dict) -> None:
    """Writes a JSON object in a local or remote folder, atomically."""
    if is_remote(folder):
        write_bytes(join(folder, name), f"{json.dumps(content)}\n".encode())
    else:
        write_json(os.path.join(folder, name), content, indent=None)


def join(folder: str, name: str) -> str:
    """Returns the path or URL of a file in a folder."""
    return join_url(folder, name) if is_remote(folder) else os.path.join(folder, name)


def _checked_entry(row):
    entry = ShardEntry(**row)
    name = entry.name
    is_plain = pathlib.PurePath(name).name == name and "/" not in name
    if not is_plain or "\\" in name or name.startswith("."):
        raise ValueError(f"{name!r} is not the name of a file in its folder")
    numbers = (entry.records, entry.size, entry.checksum)
    if not all(type(number) is int and number >= 0 for number in numbers):
        raise ValueError(f"{row!r:.200} is not a shard")
    return entry


def _integers(values):
    if not all(type(value) is int for value in values):
        raise ValueError("it has other values than integers")
    return np.array(values, np.int64)
