"""Reads sorted tables, the file format of the index of a TensorFlow checkpoint.

The format is LevelDB's (https://github.com/google/leveldb, doc/table_format.md): blocks
of key-value records; an index block, whose values are the locations of the other
blocks; and a footer with the location of the index block. TensorFlow's own reader does
not check sizes and aborts the process if they are wrong. This reader checks them, and
limits the memory and the time that a table can take.
"""

from __future__ import annotations

import dataclasses

from keras_vatt._errors import KerasVATTError
from keras_vatt.conversion._masked_checksum import masked_checksum

# The checkpoint of the largest published model has a few thousand records, with keys
# and values of a few hundred bytes.
MAX_RECORDS = 20_000
MAX_KEY_BYTES = 2048
MAX_VALUE_BYTES = 2**16

_MAGIC = (0xDB4775248B80FB57).to_bytes(8, "little")
_FOOTER_SIZE = 48
_UNCOMPRESSED = 0
_MAX_VARINT_BYTES = 10


class DamagedTableError(KerasVATTError, ValueError):
    """Bytes that are not a sorted table, or a damaged one."""


def table_records(content: bytes) -> list[tuple[bytes, bytes]]:
    """Reads all records of a table.

    Args:
        content: bytes of the whole table.

    Returns:
        List of tuples of key and value, sorted by key.

    Raises:
        DamagedTableError: if the bytes are not a table, a checksum is wrong, sizes or
            offsets contradict each other, or keys are not in increasing order.
    """
    if len(content) < _FOOTER_SIZE or content[-len(_MAGIC) :] != _MAGIC:
        raise DamagedTableError("is truncated or not the index of a checkpoint")
    footer = _Cursor(content[-_FOOTER_SIZE : -len(_MAGIC)])
    _read_handle(footer)  # The filter block, which TensorFlow leaves empty.
    records, end = [], 0
    for _, value in _block_records(content, _read_handle(footer)):
        handle = _read_handle(_Cursor(value))
        if handle.offset < end:
            raise DamagedTableError("has blocks that overlap")
        end = handle.offset + handle.size
        records += _block_records(content, handle)
        if len(records) > MAX_RECORDS:
            raise DamagedTableError(f"has more than {MAX_RECORDS:,} records")
    keys = [key for key, _ in records]
    if any(key >= following for key, following in zip(keys, keys[1:], strict=False)):
        raise DamagedTableError("has duplicate or unsorted keys")
    return records


@dataclasses.dataclass(frozen=True)
class _Handle:
    """The location of a block, without its trailer."""

    offset: int
    size: int


def _read_handle(cursor):
    return _Handle(cursor.varint(), cursor.varint())


def _block_records(content, handle):
    """Reads the records of one block.

    A record has a key and a value. A key is stored as the number of bytes that it
    shares with the previous key, and the rest. After the records come the restart
    offsets, which serve a binary search, and their number, with 4 bytes each.
    """
    block = _checked_block(content, handle)
    num_restarts = int.from_bytes(block[-4:], "little")
    cursor = _Cursor(block[: max(len(block) - 4 * (num_restarts + 1), 0)])
    records, key = [], b""
    while not cursor.is_at_end():
        num_shared, num_new, num_value = (cursor.varint() for _ in range(3))
        if num_shared > len(key) or num_shared + num_new > MAX_KEY_BYTES:
            raise DamagedTableError("has a key with a wrong size")
        if num_value > MAX_VALUE_BYTES:
            raise DamagedTableError("has a record that is too large")
        if len(records) == MAX_RECORDS:
            raise DamagedTableError(f"has more than {MAX_RECORDS:,} records")
        key = key[:num_shared] + cursor.take(num_new)
        records.append((key, cursor.take(num_value)))
    return records


def _checked_block(content, handle):
    end = handle.offset + handle.size
    trailer = content[end : end + 5]
    if len(trailer) < 5 or end + 5 > len(content) - _FOOTER_SIZE:
        raise DamagedTableError("has a block that extends beyond the file")
    checksum = masked_checksum(content[handle.offset : end + 1])
    if checksum != int.from_bytes(trailer[1:], "little"):
        raise DamagedTableError("has a block with a wrong checksum")
    if trailer[0] != _UNCOMPRESSED:
        raise DamagedTableError("has a compressed block, which is not supported")
    return content[handle.offset : end]


class _Cursor:
    """A read position in some bytes."""

    def __init__(self, content):
        self._content = content
        self._position = 0

    def is_at_end(self):
        return self._position == len(self._content)

    def take(self, size):
        end = self._position + size
        if end > len(self._content):
            raise DamagedTableError("has a record that extends beyond its block")
        taken = self._content[self._position : end]
        self._position = end
        return taken

    def varint(self):
        """Reads a varint: 7 bits per byte, lowest first; the last byte is below 128."""
        value = 0
        for index in range(_MAX_VARINT_BYTES):
            (byte,) = self.take(1)
            value |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                return value
        raise DamagedTableError("has an integer of more than 64 bits")
