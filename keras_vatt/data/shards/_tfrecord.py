"""TFRecord files: each record with its length and two checksums."""

from __future__ import annotations

import struct

import google_crc32c

from keras_vatt.data.shards._record_files import OffsetFile

_HEADER, _FOOTER = 12, 4


class TFRecordFile(OffsetFile):
    """The records of a TFRecord file by index.

    Without offsets, it is scanned, which reads the length of each record.
    """

    def read(self, index: int) -> bytes:
        """Returns the bytes of a record, see `RecordFile`."""
        # In one request: header, record and checksum.
        content = self._record(index)
        if len(content) < _HEADER + _FOOTER:
            raise ValueError("it is too short for a record")
        size = _size_of(content[:_HEADER])
        if size != len(content) - _HEADER - _FOOTER:
            raise ValueError("its length is wrong, or it is truncated")
        record = content[_HEADER : _HEADER + size]
        if _masked(record) != struct.unpack("<I", content[-_FOOTER:])[0]:
            raise ValueError("its checksum is wrong")
        return record

    def _scan(self):
        offsets, offset = [], 0
        try:
            while offset < self._bytes.size:
                size = _size_of(self._bytes.read(offset, _HEADER))
                end = offset + _HEADER + size + _FOOTER
                if end > self._bytes.size:
                    raise ValueError("it is truncated")
                offsets.append(offset)
                offset = end
        except ValueError as error:
            self.damage = f"{error} after {len(offsets)} records, at byte {offset}"
        return [*offsets, offset]


class TFRecordWriter:
    """Writes a TFRecord file.

    Args:
        path: path of the file.

    Attributes:
        offsets: List of ints, the position of each record, and the end of the last.
    """

    def __init__(self, path) -> None:
        self._file = open(path, "wb")  # noqa: SIM115
        self.offsets = [0]

    def write(self, record: bytes) -> None:
        """Appends a record."""
        length = struct.pack("<Q", len(record))
        self._file.write(length + struct.pack("<I", _masked(length)))
        self._file.write(record)
        self._file.write(struct.pack("<I", _masked(record)))
        self.offsets.append(self._file.tell())

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def is_tfrecord(beginning: bytes) -> bool:
    """Returns whether a file begins with the header of a TFRecord."""
    try:
        _size_of(beginning[:_HEADER])
    except (ValueError, struct.error):
        return False
    return True


def _size_of(header):
    length, found = header[:8], struct.unpack("<I", header[8:])[0]
    if _masked(length) != found:
        raise ValueError("the length of a record is damaged")
    return struct.unpack("<Q", length)[0]


def _masked(data):
    crc = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
