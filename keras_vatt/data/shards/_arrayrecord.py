"""ArrayRecord files, through Google's library."""

from __future__ import annotations

import os

from array_record.python import array_record_module

from keras_vatt._remote_files import is_remote
from keras_vatt.data.shards._local_copies import local_copy
from keras_vatt.data.shards._record_files import check_is_file

# The settings of the library for random access.
_READ = "readahead_buffer_size:0,max_parallelism:0"
# One record per group, so that reading one decodes no others. JPEG images don't shrink.
_WRITE = "group_size:1,uncompressed"


class ArrayRecordFile:
    """The records of an ArrayRecord file by index.

    The library reads local files only: a remote file is copied to a cache first.

    Args:
        place: str. Path or URL.

    Attributes:
        damage: `None`; a file with a damaged end can't be opened.

    Raises:
        OSError: If the file can't be read.
        ValueError: If it is not an ArrayRecord file, or is damaged.
    """

    def __init__(self, place: str) -> None:
        path = local_copy(place) if is_remote(place) else place
        # The library's error does not tell a missing file from others.
        check_is_file(path)
        try:
            self._reader = array_record_module.ArrayRecordReader(path, _READ)
            self._count = self._reader.num_records()
        except (RuntimeError, ValueError, IndexError) as error:
            raise ValueError(f"it is damaged or truncated ({error})") from error
        if not self._reader.ok() or not self._count:
            raise ValueError("it is damaged, truncated or empty")
        self.damage = None

    def __len__(self) -> int:
        return self._count

    def read(self, index: int) -> bytes:
        """Returns the bytes of a record, see `RecordFile`."""
        try:
            record = self._reader.read([index])[0]
        except (RuntimeError, ValueError, IndexError) as error:
            raise ValueError(f"it is damaged ({error})") from error
        if not record:  # In a file that was truncated after it was opened.
            raise ValueError("it is damaged or truncated")
        return record


class ArrayRecordWriter:
    """Writes an ArrayRecord file.

    Args:
        path: path of the file.
    """

    offsets = None

    def __init__(self, path) -> None:
        self._writer = array_record_module.ArrayRecordWriter(os.fspath(path), _WRITE)

    def write(self, record: bytes) -> None:
        """Appends a record."""
        self._writer.write(record)

    def close(self) -> None:
        """Closes the file."""
        self._writer.close()
