"""Rows of the table of windows: from embedded windows to Arrow, and back."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import pyarrow as pa

from keras_vatt.data._report import Finding, Problem
from keras_vatt.search._errors import MediaIndexError
from keras_vatt.search._media_files import MediaFile
from keras_vatt.search._queries import EMBEDDINGS
from keras_vatt.search._windows import Window

# What a window is: all of it is the same in a later run, or the file has changed.
_KEYS = {
    "path": pa.string(),
    "size": pa.int64(),
    "modified": pa.int64(),
    "start": pa.float64(),
    "end": pa.float64(),
}
_FLAGS = {"has_video": pa.bool_(), "has_audio": pa.bool_()}
_FINDINGS = pa.list_(pa.struct({"problem": pa.string(), "reason": pa.string()}))
SCHEMA = pa.schema({**_KEYS, **_FLAGS, "findings": _FINDINGS})

_ROW_ID = "_rowid"


@dataclasses.dataclass(frozen=True)
class EmbeddedWindow:
    """A window and the embeddings that a model computed for it.

    Args:
        window: `Window`.
        embeddings: dict from the names in `EMBEDDINGS` to a unit vector.
        findings: tuple of `keras_vatt.data.Finding`.
    """

    window: Window
    embeddings: dict[str, np.ndarray]
    findings: tuple[Finding, ...] = ()

    def row(self) -> dict:
        """Returns the columns of `SCHEMA`."""
        file, names = self.window.file, self.embeddings
        return {
            **dataclasses.asdict(file),
            "start": self.window.start,
            "end": self.window.end,
            "has_video": any(EMBEDDINGS[name] == ("video",) for name in names),
            "has_audio": any(EMBEDDINGS[name] == ("audio",) for name in names),
            "findings": [dataclasses.asdict(finding) for finding in self.findings],
        }


def to_table(rows: list[EmbeddedWindow]) -> pa.Table:
    """Returns an Arrow table with a row per window."""
    table = pa.Table.from_pylist([row.row() for row in rows], schema=SCHEMA)
    for name in EMBEDDINGS:
        vectors = [row.embeddings.get(name) for row in rows]
        if any(vector is not None for vector in vectors):
            table = table.append_column(name, _vector_array(vectors))
    return table


def _vector_array(vectors):
    (dim,) = {len(vector) for vector in vectors if vector is not None}
    is_missing = pa.array([vector is None for vector in vectors])
    zeros = np.zeros(dim, np.float32)
    dense = [zeros if vector is None else vector for vector in vectors]
    values = pa.array(np.concatenate(dense).astype(np.float32))
    return pa.FixedSizeListArray.from_arrays(values, dim, mask=is_missing)


def check_schema(schema: pa.Schema) -> None:
    """Refuses a table whose columns are not those of an index.

    Raises:
        MediaIndexError: if a column is missing or has another type.
    """
    for field in SCHEMA:
        if (
            field.name not in schema.names
            or schema.field(field.name).type != field.type
        ):
            raise MediaIndexError(f"its windows have no column {field.name!r}")
    for name in EMBEDDINGS:
        if name in schema.names and not _is_vector(schema.field(name).type):
            raise MediaIndexError(f"its column {name!r} has no float32 vectors")


def _is_vector(kind):
    return pa.types.is_fixed_size_list(kind) and kind.value_type == pa.float32()


class StoredWindows:
    """Windows of an index without their embeddings, ordered by path and time.

    Args:
        rows: Arrow table with the columns of `COLUMNS` and the row ids.
    """

    COLUMNS = (*_KEYS, *_FLAGS)

    def __init__(self, rows: pa.Table):
        self._rows = rows.sort_by([("path", "ascending"), ("start", "ascending")])
        self._rows = self._rows.combine_chunks()
        self._check()

    def _check(self):
        names = [name for name in self._rows.column_names if name != "findings"]
        if any(self._rows[name].null_count for name in names):
            raise MediaIndexError("a window lacks its path or its time")
        for name in ("start", "end"):
            if not np.isfinite(self._rows[name].to_numpy()).all():
                raise MediaIndexError(f"the {name} of a window is no time")

    def __len__(self):
        return self._rows.num_rows

    def window(self, number: int) -> Window:
        """Returns a window by its number.

        Raises:
            IndexError: if there is none of that number.
        """
        if not 0 <= number < len(self):
            raise IndexError(f"The index has no window {number}.")
        values = [self._rows[name][number].as_py() for name in _KEYS]
        return Window(MediaFile(*values[:3]), *values[3:])

    def windows(self) -> list[Window]:
        """Returns all windows in order."""
        columns = [self._rows[name].to_pylist() for name in _KEYS]
        return [
            Window(MediaFile(*values[:3]), *values[3:])
            for values in zip(*columns, strict=True)
        ]

    def findings(self) -> list[list[Finding]]:
        """Returns the findings of each window in order."""
        paths, findings = self._rows["path"], self._rows["findings"]
        return [
            [Finding(Problem(f["problem"]), path, f["reason"]) for f in found or ()]
            for path, found in zip(paths.to_pylist(), findings.to_pylist(), strict=True)
        ]

    @functools.cached_property
    def paths(self) -> tuple[str, ...]:
        """Paths of the files, in order."""
        return tuple(self._rows["path"].unique().to_pylist())

    def has(self, modality: str) -> np.ndarray:
        """Returns which windows have embeddings of `"video"` or of `"audio"`."""
        return self._rows[f"has_{modality}"].to_numpy()

    @property
    def row_ids(self) -> np.ndarray:
        """Row ids of the windows in the table, in order."""
        return self._rows[_ROW_ID].to_numpy()

    def numbers(self, row_ids: np.ndarray) -> np.ndarray:
        """Returns the numbers of windows by their row ids."""
        places = np.searchsorted(self._sorted_ids, row_ids)
        places = np.minimum(places, len(self) - 1)
        if (self._sorted_ids[places] != row_ids).any():
            raise MediaIndexError("it was changed since it was opened")
        return self._id_order[places]

    @functools.cached_property
    def _id_order(self):
        return np.argsort(self.row_ids)

    @functools.cached_property
    def _sorted_ids(self):
        return self.row_ids[self._id_order]
