"""The formats of shards: their file names, readers, writers and records."""

from __future__ import annotations

import dataclasses
import importlib
import pathlib
from collections.abc import Callable
from typing import Any

from keras_vatt.data.shards._record_files import ByteRanges
from keras_vatt.data.shards._sequence_example import pack_example, unpack_example
from keras_vatt.data.shards._tfrecord import TFRecordFile, TFRecordWriter, is_tfrecord
from keras_vatt.data.shards._webdataset import (
    TarFile,
    TarWriter,
    pack_sample,
    unpack_sample,
)


@dataclasses.dataclass(frozen=True)
class Format:
    """A format of shards.

    Args:
        suffix: str. End of the names of written files.
        suffixes: Tuple of str. Ends of the names of files that are read.
        open: Function from a path or URL, and from offsets or `None`, to a
            `RecordFile`.
        writer: Function from a path to a writer of records.
        pack: Function from a `StoredClip` and a name to the bytes of a record.
        unpack: Function from the bytes of a record, and the rates of records without
            any, to a `StoredClip`.
        has_checksums: bool. Whether the files have checksums of their records.
        needs_offsets: bool. Whether the position of each record has to be known.
    """

    suffix: str
    suffixes: tuple[str, ...]
    open: Callable[[str, Any], Any]
    writer: Callable[[Any], Any]
    pack: Callable[[Any, str], bytes]
    unpack: Callable[..., Any]
    has_checksums: bool
    needs_offsets: bool


def _array_record(name):
    # The module loads a library of 30 MB.
    module = importlib.import_module("keras_vatt.data.shards._arrayrecord")
    return getattr(module, name)


def _pack_example(clip, name):
    return pack_example(clip)


FORMATS = {
    "arrayrecord": Format(
        ".arrayrecord",
        (".arrayrecord", ".array_record"),
        lambda place, offsets: _array_record("ArrayRecordFile")(place),
        lambda path: _array_record("ArrayRecordWriter")(path),
        _pack_example,
        unpack_example,
        has_checksums=True,
        needs_offsets=False,
    ),
    "webdataset": Format(
        ".tar",
        (".tar",),
        TarFile,
        TarWriter,
        pack_sample,
        unpack_sample,
        has_checksums=False,
        needs_offsets=True,
    ),
    "tfrecord": Format(
        ".tfrecord",
        (".tfrecord", ".tfrecords", ".tfr"),
        TFRecordFile,
        TFRecordWriter,
        _pack_example,
        unpack_example,
        has_checksums=True,
        needs_offsets=True,
    ),
}


def format_by_name(place: str) -> str | None:
    """Returns the format of a file with this name, or `None` if the name tells none."""
    suffix = pathlib.PurePosixPath(place.rpartition("/")[2]).suffix.lower()
    return next((name for name, f in FORMATS.items() if suffix in f.suffixes), None)


def format_of(place: str) -> str | None:
    """Returns the format of a file by its name or its beginning, or `None`.

    The tables of DMVR have names such as `train-00000-of-00010`.
    """
    found = format_by_name(place)
    if found is not None:
        return found
    ranges = ByteRanges(place)
    beginning = ranges.read(0, min(16, ranges.size))
    return "tfrecord" if is_tfrecord(beginning) else None
