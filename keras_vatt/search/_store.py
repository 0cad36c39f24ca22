"""The vector store of an index: two tables of LanceDB.

`windows` has a row per window: its file, its time, the problems found in it and its
embeddings. `header` has a single row: a JSON object with the model, the folder of
media, whether the index is complete, and the report of the last run.

Each write is one commit of LanceDB, which is atomic: if a process is killed, each table
is in its state before or after the commit. A run marks the index as incomplete before
it changes the windows, and as complete, together with its report, when it is done.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import pathlib
import warnings

import lancedb
import numpy as np
import pyarrow as pa

from keras_vatt._files import is_free_folder
from keras_vatt._signature import is_signed, sign
from keras_vatt._untrusted import parse_json
from keras_vatt.data.decoding._short_clips import SHORT_CLIPS
from keras_vatt.search._approximate import approximate_nearest
from keras_vatt.search._errors import MediaIndexError
from keras_vatt.search._nearest import ExactSearch
from keras_vatt.search._queries import EMBEDDINGS
from keras_vatt.search._store_errors import damaged, reading, writing
from keras_vatt.search._store_guard import check_local_table
from keras_vatt.search._stored_windows import (
    SCHEMA,
    StoredWindows,
    check_schema,
)
from keras_vatt.search._vector_blocks import check_vectors, check_width

_WINDOWS = "windows"
_HEADER = "header"
_FOLDERS = tuple(f"{name}.lance" for name in (_HEADER, _WINDOWS))
_HEADER_SCHEMA = pa.schema({"header": pa.large_string()})

_FORMAT = "keras_vatt media index"
_VERSION = 2
_TYPES = {"model": dict, "folder": str, "complete": bool}

# Maximum number of row ids in one condition of a deletion.
_DELETED_ROWS = 1_000


class VectorStore:
    """Reads and writes the tables of one index.

    Args:
        location: string. Folder or URI of the index.
        folder: `pathlib.Path` of a local index, `None` for an object store.
    """

    def __init__(self, location: str, folder: pathlib.Path | None):
        self.location = location
        self.folder = folder
        self._opened = None
        self._windows = None
        self._forget_rows()

    @property
    def _database(self):
        if self._opened is None:
            if self.folder is not None:
                for name in _FOLDERS:
                    check_local_table(self.folder, name)
            self._opened = lancedb.connect(self.location)
        return self._opened

    def exists(self) -> bool:
        """Returns whether there is an index, finished or not."""
        if self.folder is not None:
            # Without a manifest, the folder is left by a process that was killed at
            # its first write. A link counts, so that opening it raises an error.
            manifests = self.folder.glob(f"{_HEADER}.lance/_versions/*.manifest")
            return any(manifests) or (self.folder / f"{_HEADER}.lance").is_symlink()
        with reading(self.location):
            return _HEADER in self._database.list_tables().tables

    def check_free(self) -> None:
        """Checks that the location is empty or contains an index.

        Raises:
            MediaIndexError: if it contains something else.
        """
        if self.exists():
            return
        if self.folder is None:
            others = set(self._database.list_tables().tables) - {_WINDOWS}
        else:
            others = not is_free_folder(self.folder, ignored=_FOLDERS)
        if others:
            raise MediaIndexError(
                f"{self.location!r} is not empty and does not contain an index of this "
                "version: choose another location, or delete it."
            )

    def relative_path(self, folder: str | os.PathLike) -> str:
        """Returns the path of the folder of media, to be stored in the header.

        For a local index, it is relative to the index: both can be moved together.
        """
        path = os.path.realpath(folder)
        if self.folder is not None:
            with contextlib.suppress(ValueError):  # On Windows, on another drive.
                path = os.path.relpath(path, os.path.realpath(self.folder))
        return pathlib.Path(path).as_posix()

    def read_header(self) -> dict:
        """Returns the header.

        Raises:
            MediaIndexError: if there is no index, it is damaged, or it has another
                version.
        """
        if not self.exists():
            raise MediaIndexError(
                f"There is no index in {self.location!r}: make one by `keras-vatt "
                "embed FOLDER --preset PRESET --output INDEX`."
            )
        with reading(self.location):
            rows = self._database.open_table(_HEADER).to_arrow()
            (text,) = rows["header"].to_pylist()
            header = parse_json(text)
            if not isinstance(header, dict) or header.get("format") != _FORMAT:
                raise damaged(self.location, "it is not an index of media")
        if header.get("version") != _VERSION:
            raise MediaIndexError(
                f"The index {self.location!r} has version {header.get('version')}, "
                f"and this release reads version {_VERSION}. Delete it and run "
                "`keras-vatt embed` again."
            )
        check_header(header, self.location)
        return header

    @staticmethod
    def is_own(header: dict) -> bool:
        """Returns whether the current user signed a header.

        If so, the preset and the folder that it names can be trusted.
        """
        return is_signed(_names_in(header), header.get("signature"))

    def write_header(self, header: dict) -> None:
        """Signs a header for the current user, and replaces the stored one."""
        marked = header | {"format": _FORMAT, "version": _VERSION}
        marked["signature"] = sign(_names_in(header))
        row = pa.table([[json.dumps(marked)]], schema=_HEADER_SCHEMA)
        with writing(self.location):
            if self.folder is not None:
                self.folder.mkdir(parents=True, exist_ok=True)
            self._database.create_table(_HEADER, row, mode="overwrite")

    def read_windows(self, *columns: str) -> StoredWindows:
        """Returns the windows without their embeddings.

        Args:
            *columns: further columns that are read, such as `"findings"`.
        """
        if not self.has_windows():
            return StoredWindows(
                SCHEMA.empty_table().append_column("_rowid", pa.array([], pa.uint64()))
            )
        table, names = self.table, [*StoredWindows.COLUMNS, *columns]
        with self._reading():
            return StoredWindows(
                table.search().select(names).with_row_id(True).to_arrow()
            )

    @property
    def table(self) -> lancedb.table.Table:
        """The table of windows, as it was when it was opened or written here."""
        if self._windows is None:
            with self._reading():
                table = self._database.open_table(_WINDOWS)
                check_schema(table.schema)
                self._windows = table
        return self._windows

    def has_windows(self) -> bool:
        """Returns whether there is a table of windows."""
        if self._windows is not None:
            return True
        with reading(self.location):
            return _WINDOWS in self._database.list_tables().tables

    @contextlib.contextmanager
    def _reading(self):
        with reading(self.location):
            try:
                yield
            except MediaIndexError as error:
                raise damaged(self.location, error) from error

    def embedding_columns(self) -> list[str]:
        """Returns the names of the columns of embeddings that the table has."""
        if self._columns is None:
            names = self.table.schema.names
            self._columns = [name for name in EMBEDDINGS if name in names]
        return self._columns

    def _forget_rows(self):
        """Forgets what was read of the table of windows, which is going to change."""
        self._columns = None
        self._searches = {}

    def nearest(
        self, column: str, vector: np.ndarray, count: int, probes: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Finds the rows nearest to a vector.

        Args:
            column: string. Column of embeddings.
            vector: float64 array `(dim,)` of length 1.
            count: int. Number of rows that are wanted; there may be more.
            probes: int. Partitions of the approximate index that are searched. Defaults
                to `None`, an exact search of all rows.

        Returns:
            Tuple of the row ids and of their cosines, in no particular order.

        Raises:
            MediaIndexError: if the embeddings have another width than the vector, or
                can't be read.
        """
        if not self.has_windows() or column not in self.embedding_columns():
            return np.zeros(0, np.uint64), np.zeros(0)
        check_width(self.table, column, len(vector))
        with self._reading():
            if probes is not None:
                return approximate_nearest(self.table, column, vector, count, probes)
            if column not in self._searches:
                self._searches[column] = ExactSearch(self.table, column)
            return self._searches[column].nearest(vector[np.newaxis], count)[0]

    def check_embeddings(self) -> None:
        """Raises an error if an embedding is neither a unit vector nor all zeros."""
        if self.has_windows():
            with self._reading():
                check_vectors(self.table, self.embedding_columns())

    def append(self, rows: pa.Table) -> None:
        """Appends windows in one commit.

        Args:
            rows: Arrow table, see `EmbeddedWindows.to_table`.
        """
        self._forget_rows()
        with writing(self.location):
            if not self.has_windows():
                # A killed process may have left the table.
                self._windows = self._database.create_table(
                    _WINDOWS, schema=rows.schema, exist_ok=True
                )
            table = self.table
            added = [
                field for field in rows.schema if field.name not in table.schema.names
            ]
            if added:
                table.add_columns(added)
            # A window without video, or without audio, has a null embedding of it.
            table.add(_completed(rows, table.schema), on_bad_vectors="null")

    def delete(self, row_ids: np.ndarray) -> None:
        """Deletes windows by their row ids."""
        self._forget_rows()
        with writing(self.location):
            for first in range(0, len(row_ids), _DELETED_ROWS):
                chosen = ", ".join(map(str, row_ids[first : first + _DELETED_ROWS]))
                self.table.delete(f"_rowid IN ({chosen})")

    def compact(self) -> None:
        """Merges the fragments of the tables, and removes what earlier runs left."""
        self._forget_rows()
        with writing(self.location), warnings.catch_warnings():
            # LanceDB warns that readers of old versions break. They get an error that
            # tells them to open the index again.
            warnings.simplefilter("ignore", UserWarning)
            for table in (self.table, self._database.open_table(_HEADER)):
                table.optimize(cleanup_older_than=datetime.timedelta(0))


def _completed(rows, schema):
    """Returns rows with all columns of a table; missing ones are null."""
    arrays = [
        rows[field.name].combine_chunks()
        if field.name in rows.column_names
        else pa.nulls(rows.num_rows, field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def check_header(header: dict, location: str) -> None:
    """Checks that a header has all entries, with values of the right types.

    Raises:
        MediaIndexError: if it has not.
    """
    for key, kind in _TYPES.items():
        if not isinstance(header.get(key), kind):
            raise damaged(location, f"its header has no valid {key!r}")
    if header.get("short_clips") not in SHORT_CLIPS:
        raise damaged(location, "its rule for short clips is unknown")
    measured = header.get("approximate", {})
    if not (isinstance(measured, dict) and all(map(_is_measured, measured.values()))):
        raise damaged(location, "the parameters of its approximate indexes are invalid")


def _is_measured(entry):
    return (
        isinstance(entry, dict)
        and type(entry.get("probes")) is int
        and entry["probes"] > 0
        and isinstance(entry.get("recall"), float)
    )


def _names_in(header):
    """Returns the signed part of a header: what refers to data outside the index."""
    return {
        "file": _HEADER,
        "preset": header["model"].get("preset"),
        "folder": header.get("folder"),
        "allow_outside": header.get("allow_outside") is True,
    }
