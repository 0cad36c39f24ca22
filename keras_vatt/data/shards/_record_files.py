"""Access to the bytes of records in files, local or remote, by position."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Sequence
from typing import Protocol

import google_crc32c

from keras_vatt._remote_files import file_size, is_remote, read_bytes

_CHUNK_BYTES = 16 * 2**20


class RecordFile(Protocol):
    """The records of one shard."""

    def __len__(self) -> int:
        """Returns the number of records, including those that are damaged."""

    def read(self, index: int) -> bytes:
        """Returns the bytes of a record. Threads may call it at the same time.

        Raises:
            ValueError: If the record is damaged.
            OSError: If the file can't be read.
        """


def check_is_file(place: str) -> None:
    """Raises an error for pipes and devices, which could block.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a regular file.
    """
    if not stat.S_ISREG(os.stat(place).st_mode):
        raise ValueError("it is not a regular file")


class ByteRanges:
    """A local file or a URL, read by position.

    Args:
        place: str. Path or URL.

    Raises:
        OSError: If the file does not exist or can't be read.
    """

    def __init__(self, place: str) -> None:
        self.place = place
        self._file = None
        if is_remote(place):
            self.size = file_size(place)
        else:
            check_is_file(place)
            self._file = open(place, "rb", buffering=0)  # noqa: SIM115
            self.size = os.fstat(self._file.fileno()).st_size
        self._lock = threading.Lock()

    def __del__(self):
        if getattr(self, "_file", None) is not None:
            self._file.close()

    def read(self, start: int, size: int) -> bytes:
        """Returns `size` bytes from position `start`.

        Raises:
            ValueError: If the file ends before.
            OSError: If the file can't be read.
        """
        data = self._read(start, size)
        if len(data) < size:
            raise ValueError(
                f"it is truncated: {len(data)} of the {size} bytes at {start} are there"
            )
        return data

    def _read(self, start, size):
        if self._file is None:
            return read_bytes(self.place, start, start + size)
        if hasattr(os, "pread"):
            return os.pread(self._file.fileno(), size, start)
        with self._lock:
            self._file.seek(start)
            return self._file.read(size)


class OffsetFile:
    """The records of a file by their positions; `RecordFile` without `read`.

    Args:
        place: str. Path or URL.
        offsets: Sequence of ints. Position of each record, and the end of the last.
            Defaults to `None`: `_scan` finds them.

    Attributes:
        offsets: Sequence of ints, see above.
        damage: str. Reason why the end of the file can't be read, or `None`.

    Raises:
        OSError: If the file can't be read.
    """

    def __init__(self, place: str, offsets: Sequence[int] | None = None) -> None:
        self._bytes = ByteRanges(place)
        self.damage = None
        self.offsets = self._scan() if offsets is None else offsets

    def __len__(self) -> int:
        return max(0, len(self.offsets) - 1)

    def _record(self, index):
        """Returns the bytes from the position of a record to that of the next."""
        start, end = (int(offset) for offset in self.offsets[index : index + 2])
        return self._bytes.read(start, end - start)

    def _scan(self):
        """Returns the offsets, and sets `damage`."""
        raise NotImplementedError


def file_checksum(place: str) -> int:
    """Returns the CRC-32C of a local or remote file.

    Raises:
        OSError: If the file can't be read.
        ValueError: If it is not a regular file, or shortened meanwhile.
    """
    ranges, crc = ByteRanges(place), google_crc32c.Checksum()
    for start in range(0, ranges.size, _CHUNK_BYTES):
        crc.update(ranges.read(start, min(_CHUNK_BYTES, ranges.size - start)))
    return int.from_bytes(crc.digest(), "big")
