"""Reads the index of a TensorFlow checkpoint and checks all of its contents.

The index is a sorted table from the name of a tensor to a message with its shard, its
offset and size in the shard, its shape and dtype, and its checksum. The reader checks
the messages against each other and against the sizes of the shards.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import operator
import os
import pathlib

import ml_dtypes  # noqa: F401 Makes NumPy know bfloat16 and float8.
import numpy as np
from google.protobuf.message import DecodeError

from keras_vatt._errors import KerasVATTError
from keras_vatt.conversion._bundle_messages import Entry, Header
from keras_vatt.conversion._sorted_table import table_records

MAX_INDEX_BYTES = 2**24

# TensorFlow's dtype numbers (tensorflow/core/framework/types.proto).
_DTYPES = {
    1: "float32",
    2: "float64",
    3: "int32",
    4: "uint8",
    5: "int16",
    6: "int8",
    7: "string",
    9: "int64",
    10: "bool",
    14: "bfloat16",
    17: "uint16",
    19: "float16",
    22: "uint32",
    23: "uint64",
    24: "float8_e5m2",
    25: "float8_e4m3fn",
}
_ARRAY_DTYPES = set(_DTYPES.values()) - {"string"}
_MAX_RANK = 64  # NumPy's
_MAX_TENSOR_BYTES = 2**60
_LITTLE_ENDIAN = 0
_VERSION = 1
_HEADER_KEY = b""
# The first byte of the keys of partitions, which are binary.
_PIECE_MARK = b"\x00"


class DamagedIndexError(KerasVATTError, ValueError):
    """An index that contradicts itself or the shards."""


@dataclasses.dataclass(frozen=True)
class StoredTensor:
    """The entry of a tensor in the index of a checkpoint.

    Attributes:
        path: `pathlib.Path` of the shard.
        offset: int, offset of its bytes in the shard.
        size: int, number of bytes.
        shape: tuple of ints.
        dtype: string, such as `"float32"`; or `"type 21"`, with TensorFlow's number,
            if NumPy has no such dtype.
        checksum: int, see `masked_checksum`.
        is_partitioned: bool. Whether the tensor is stored in partitions.
    """

    path: pathlib.Path
    offset: int
    size: int
    shape: tuple[int, ...]
    dtype: str
    checksum: int
    is_partitioned: bool

    @property
    def is_array(self) -> bool:
        """Returns whether its bytes are those of a NumPy array."""
        return self.dtype in _ARRAY_DTYPES and not self.is_partitioned


def read_index(
    prefix: str | os.PathLike, with_shards: bool = True
) -> dict[str, StoredTensor]:
    """Reads the index of a checkpoint and checks it against the sizes of the shards.

    Args:
        prefix: string or path; see `TensorBundle`.
        with_shards: bool. `False` reads the index alone, before there are shards.
            Defaults to `True`.

    Returns:
        Dict from name to `StoredTensor`, sorted by name.

    Raises:
        DamagedIndexError: if the index contradicts itself or the shards.
        DamagedTableError: if it is not a valid table.
        OSError: if a file can't be opened.
    """
    records = table_records(_index_content(pathlib.Path(f"{prefix}.index")))
    if not records or records[0][0] != _HEADER_KEY:
        raise DamagedIndexError("has no header")
    header = _parsed(Header, records[0][1])
    if header.endianness != _LITTLE_ENDIAN:
        raise DamagedIndexError("is big-endian, which is not supported")
    if header.version.min_consumer > _VERSION:
        raise DamagedIndexError("has a newer version, which is not supported")
    tensors = {}
    for key, value in records[1:]:
        if key.startswith(_PIECE_MARK):
            continue
        name = _name(key)
        tensors[name] = _stored_tensor(
            name, _parsed(Entry, value), header.num_shards, prefix
        )
    for path, size in shard_sizes(tensors).items():
        if with_shards:
            _check_shard(path, size)
    return tensors


def shard_sizes(tensors: dict[str, StoredTensor]) -> dict[pathlib.Path, int]:
    """Computes the smallest sizes of the shards of a checkpoint.

    Args:
        tensors: dict from name to `StoredTensor`.

    Returns:
        Dict from the path of a shard to its number of bytes.

    Raises:
        DamagedIndexError: if two tensors overlap.
    """
    by_shard = {}
    for tensor in tensors.values():
        by_shard.setdefault(tensor.path, []).append(tensor)
    return {path: _shard_size(path, group) for path, group in by_shard.items()}


def _name(key):
    try:
        name = key.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DamagedIndexError(f"has the invalid name {key!r}") from error
    # Messages show names, and a terminal would execute control characters in them.
    if not name.isprintable():
        raise DamagedIndexError(f"has the invalid name {name!r}")
    return name


def _index_content(path):
    """Reads an index file, which must be a regular file of limited size."""
    # Reading a pipe could wait forever, and reading a device might never end.
    if not path.is_file():
        raise DamagedIndexError("is not a file")
    with path.open("rb") as file:
        content = file.read(MAX_INDEX_BYTES + 1)
    if len(content) > MAX_INDEX_BYTES:
        raise DamagedIndexError(
            f"has more than {MAX_INDEX_BYTES:,} bytes, which is not supported"
        )
    return content


def _parsed(message, content):
    try:
        return message.FromString(content)
    except DecodeError as error:
        raise DamagedIndexError("has a record that can't be parsed") from error


def _stored_tensor(name, entry, num_shards, prefix):
    if not 0 <= entry.shard_id < num_shards:
        raise DamagedIndexError(
            f"places a tensor in shard {entry.shard_id} of {num_shards}: {name}"
        )
    if min(entry.offset, entry.size) < 0:
        raise DamagedIndexError(f"has a tensor with a negative size or offset: {name}")
    tensor = StoredTensor(
        path=_shard_path(prefix, entry.shard_id, num_shards),
        offset=entry.offset,
        size=entry.size,
        shape=_shape(name, entry),
        dtype=_DTYPES.get(entry.dtype, f"type {entry.dtype}"),
        checksum=entry.crc32c,
        is_partitioned=bool(entry.slices),
    )
    if tensor.is_array:
        _check_size(name, tensor)
    return tensor


@functools.lru_cache(maxsize=64)
def _shard_path(prefix, number, count):
    return pathlib.Path(f"{prefix}.data-{number:05d}-of-{count:05d}")


def _shape(name, entry):
    if entry.shape.unknown_rank or len(entry.shape.dim) > _MAX_RANK:
        raise DamagedIndexError(f"has a tensor with an unknown shape: {name}")
    shape = tuple(dimension.size for dimension in entry.shape.dim)
    if min(shape, default=0) < 0 or math.prod(filter(None, shape)) > _MAX_TENSOR_BYTES:
        raise DamagedIndexError(f"has a tensor with the invalid shape {shape}: {name}")
    return shape


def _check_size(name, tensor):
    expected = math.prod(tensor.shape) * np.dtype(tensor.dtype).itemsize
    if tensor.size != expected:
        raise DamagedIndexError(
            f"has a tensor of {tensor.size:,} bytes, but its shape {tensor.shape} and "
            f"dtype {tensor.dtype} require {expected:,}: {name}"
        )


def _shard_size(path, tensors):
    end = 0
    for tensor in sorted(tensors, key=operator.attrgetter("offset", "size")):
        if tensor.size and tensor.offset < end:
            raise DamagedIndexError(f"has two tensors that overlap in {path.name!r}")
        end = max(end, tensor.offset + tensor.size)
    return end


def _check_shard(path, size):
    """Checks that a shard is complete."""
    if not path.is_file():
        fault = "is not a file" if path.exists() else "is missing"
        raise DamagedIndexError(f"needs {path.name!r}, which {fault}")
    if size > path.stat().st_size:
        raise DamagedIndexError(
            f"needs {size:,} bytes of {path.name!r}, which has {path.stat().st_size:,}"
        )
