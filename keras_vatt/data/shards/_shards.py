"""The records of many shards under one index."""

from __future__ import annotations

import collections
import dataclasses
import functools
import logging
import threading
from collections.abc import Iterator, Sequence

import google_crc32c
import numpy as np

from keras_vatt._remote_files import RemoteFileError
from keras_vatt.data._report import Problem
from keras_vatt.data.decoding._file_errors import MediaError
from keras_vatt.data.shards._errors import ShardError
from keras_vatt.data.shards._formats import FORMATS
from keras_vatt.data.shards._shard_index import join, read_index
from keras_vatt.data.shards._stored_clip import StoredClip

_LOGGER = logging.getLogger(__name__)

# Shards that are kept open at the same time.
_MAX_OPEN = 128


@dataclasses.dataclass(frozen=True)
class Shard:
    """A shard that is known to have some records.

    Args:
        folder: str. Path or URL of its folder.
        name: str. Name of its file.
        format: str. A key of `FORMATS`.
        records: int. Number of records.
        has_index: bool. Whether there is an index next to it.
    """

    folder: str
    name: str
    format: str
    records: int
    has_index: bool

    @property
    def place(self) -> str:
        """Path or URL of the file."""
        return join(self.folder, self.name)

    def index(self) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Reads what has to be known of the records before they are read.

        Returns:
            Tuple of the offsets, for `Format.open`, and of the checksum of each record.
            They are `None` if they are not needed.

        Raises:
            OSError: If the file can't be read.
            ValueError: If it is damaged.
        """
        form = FORMATS[self.format]
        if not form.needs_offsets:
            return None, None
        if not self.has_index:
            return np.array(form.open(self.place, None).offsets, np.int64), None
        index = read_index(self.folder, self.name, self.records)
        return index.offsets, None if form.has_checksums else index.checksums


@dataclasses.dataclass(frozen=True)
class Rates:
    """Rates of records that don't have their own.

    Args:
        frames_per_second: float. Defaults to `10.0`, as in HowTo100M.
        sampling_rate: int, in hertz. Defaults to `48_000`.
    """

    frames_per_second: float = 10.0
    sampling_rate: int = 48_000


class Shards:
    """The records of many shards under one index.

    Threads may read at the same time.

    Args:
        shards: Sequence of `Shard`.
        rates: `Rates`. Defaults to `None`, the defaults of `Rates`.
    """

    def __init__(self, shards: Sequence[Shard], rates: Rates | None = None) -> None:
        self.shards = tuple(shards)
        self.rates = rates or Rates()
        self._ends = np.cumsum([shard.records for shard in self.shards], dtype=np.int64)
        self._lock = threading.Lock()
        self._open = collections.OrderedDict()
        # Kept, as they take 8 or 16 bytes per record, but a scan or a download to get.
        self._indexes = {}
        self._broken = {}

    def __reduce__(self):
        # Open files can't be pickled, but opened again.
        return type(self), (self.shards, self.rates)

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def where(self, index: int) -> str:
        """Returns the shard and the number of a record, for messages."""
        shard, record = self._locate(index)
        return f"{shard.place}, record {record}"

    def read(self, index: int) -> StoredClip:
        """Reads a record.

        Args:
            index: int.

        Returns:
            `StoredClip`.

        Raises:
            MediaError: If the shard can't be opened, or the record is damaged.
        """
        shard, record = self._locate(index)
        records, checksums = self._opened(shard)
        try:
            data = records.read(record)
            if checksums is not None and google_crc32c.value(data) != checksums[record]:
                raise ValueError("its checksum is wrong")
            return FORMATS[shard.format].unpack(
                data, self.rates.frames_per_second, self.rates.sampling_rate
            )
        # Damaged or hostile records fail in ways that can't all be listed.
        except Exception as error:
            raise _media_error(self.where(index), error) from error

    def captions(self, limit: int | None = None) -> Iterator[str]:
        """Yields the first caption of each clip, or `""`, from indexes of the shards.

        Args:
            limit: int. Number of records that are read from shards without an index.
                Defaults to `None`, all.

        Raises:
            MediaError: If a store can't be reached.
        """
        start = 0
        for shard in self.shards:
            if shard.has_index:
                yield from self._indexed_captions(shard)
            else:
                stop = shard.records if limit is None else min(shard.records, limit)
                yield from self._read_captions(range(start, start + stop))
                limit = None if limit is None else limit - stop
            start += shard.records

    def _indexed_captions(self, shard):
        try:
            index = read_index(shard.folder, shard.name, shard.records)
        except (FileNotFoundError, ShardError) as error:
            _LOGGER.warning(
                "%s: no captions for the vocabulary: %s", shard.place, error
            )
            return [""] * shard.records
        return index.captions

    def _read_captions(self, indices):
        for index in indices:
            try:
                captions = self.read(index).captions
            except MediaError as error:
                if error.problem is Problem.UNREACHABLE:
                    raise
                captions = ()  # Training reports it.
            yield captions[0] if captions else ""

    def _locate(self, index):
        index = range(len(self))[index]
        number = int(np.searchsorted(self._ends, index, side="right"))
        shard = self.shards[number]
        return shard, index - int(self._ends[number]) + shard.records

    def _opened(self, shard):
        with self._lock:
            if shard in self._broken:
                raise self._broken[shard]
            opening = self._open.get(shard)
            if opening is None:
                index = self._indexes.setdefault(shard, _Once(shard.index))
                opening = self._open[shard] = _Once(
                    functools.partial(_open, shard, index)
                )
                if len(self._open) > _MAX_OPEN:
                    self._open.popitem(last=False)
            self._open.move_to_end(shard)
        try:
            return opening()
        except MediaError as error:
            with self._lock:
                self._open.pop(shard, None)
                self._indexes.pop(shard, None)
                if error.problem is not Problem.UNREACHABLE:  # It may be back soon.
                    self._broken[shard] = error
            raise


class _Once:
    """Calls a function once, from whichever thread comes first."""

    def __init__(self, function):
        self._function = function
        self._lock = threading.Lock()
        self._results = []

    def __call__(self):
        with self._lock:
            if not self._results:
                self._results.append(self._function())
        return self._results[0]


def _open(shard, index):
    try:
        offsets, checksums = index()
        return FORMATS[shard.format].open(shard.place, offsets), checksums
    except Exception as error:
        raise _media_error(shard.place, error) from error


def _media_error(where, error):
    if isinstance(error, FileNotFoundError):
        return MediaError(where, Problem.MISSING, "does not exist")
    if isinstance(error, MediaError):
        return error
    if isinstance(error, RemoteFileError):
        return MediaError(where, Problem.UNREACHABLE, error.reason)
    kind = (
        "" if isinstance(error, OSError | ValueError) else f"{type(error).__name__}: "
    )
    return MediaError(where, Problem.CORRUPT, f"can't be read: {kind}{error}")
