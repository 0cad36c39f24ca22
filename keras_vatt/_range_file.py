"""A file object over a function that reads ranges of bytes."""

from __future__ import annotations

import io
import os
from collections.abc import Callable


class RangeFile(io.RawIOBase):
    """A read-only file at any position, such as of an object in a store.

    Args:
        name: str. Name of the file, for messages.
        size: int. Its size in bytes.
        read_range: Function from the index of the first byte, and the index after the
            last one, to `bytes`.
    """

    def __init__(
        self, name: str, size: int, read_range: Callable[[int, int], bytes]
    ) -> None:
        self.name = name
        self._size = size
        self._read_range = read_range
        self._position = 0

    def readable(self):
        return True

    def seekable(self):
        return True

    def tell(self):
        return self._position

    def seek(self, offset, whence=os.SEEK_SET):
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._position}.get(whence, self._size)
        self._position = max(0, origin + offset)
        return self._position

    def readinto(self, buffer):
        end = min(self._position + len(buffer), self._size)
        if end <= self._position:
            return 0
        data = self._read_range(self._position, end)
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)
