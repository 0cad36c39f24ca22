"""Nearest windows by the cosine: candidates from LanceDB, scores in float64."""

from __future__ import annotations

import typing

import numpy as np
import pyarrow as pa

from keras_vatt.inference._common_spaces import unit_vectors
from keras_vatt.search._errors import MediaIndexError

if typing.TYPE_CHECKING:
    import lancedb.table

# Rows whose vectors are in memory together.
CHUNK_ROWS = 8_192

# Cosines are rounded so that equal media have equal scores, wherever they stand: the
# products of float32 vectors are exact to about this.
_DECIMALS = 6

# LanceDB computes distances in float32. Theirs and the rounded ones differ by less.
_MARGIN = 1e-4

# Candidates beyond those asked for: nearly always, they reach further than the margin.
_SPARE = 64

# An approximate index with quantized vectors misorders near ones, so more are scored.
_APPROXIMATE_CANDIDATES = 4

# Unit vectors of float32, or zeros for an embedding of zeros.
_LENGTH_TOLERANCE = 1e-3


def nearest(
    table: lancedb.table.Table,
    column: str,
    vector: np.ndarray,
    count: int,
    probes: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Finds the rows whose embeddings have the largest cosine with a vector.

    The exact search returns every row with a score as large as the last one's, so that
    ties can be broken by the order of the windows.

    Args:
        table: LanceDB table of windows.
        column: string. Column of unit vectors; rows without one are left out.
        vector: float64 array `(dim,)` of length 1.
        count: int. At least so many rows are returned, if there are.
        probes: int. Partitions of the approximate index that are searched. Defaults to
            `None`, an exact search of all rows.

    Returns:
        Tuple of the row ids and of their cosines, in no particular order.

    Raises:
        MediaIndexError: if embeddings have another width, or are no unit vectors.
    """
    _check_width(table, column, vector)
    query = table.search(vector.astype(np.float32), vector_column_name=column)
    query = query.distance_type("dot").select(["_distance"]).with_row_id(True)
    if probes is None:
        row_ids = _exact_candidates(query.bypass_vector_index(), table, count)
    else:
        found = query.nprobes(probes).limit(_APPROXIMATE_CANDIDATES * count).to_arrow()
        row_ids = found["_rowid"].to_numpy()
    return row_ids, _scores(table, column, row_ids, vector)


def _exact_candidates(query, table, count):
    found = query.limit(count + _SPARE).to_arrow()
    distances = found["_distance"].to_numpy()
    if len(distances) == count + _SPARE:
        farthest = float(distances[count - 1]) + _MARGIN
        if distances[-1] <= farthest:
            # Many windows are alike, such as black frames: all of them are compared.
            found = query.distance_range(upper_bound=farthest)
            found = found.limit(table.count_rows()).to_arrow()
    return found["_rowid"].to_numpy()


def _scores(table, column, row_ids, vector):
    scores = np.zeros(len(row_ids))
    for first in range(0, len(row_ids), CHUNK_ROWS):
        chosen = row_ids[first : first + CHUNK_ROWS]
        rows = table.take_row_ids(chosen.tolist()).select([column]).with_row_id()
        rows = rows.to_arrow()
        order = np.argsort(chosen)
        found = rows["_rowid"].to_numpy()
        if not np.array_equal(np.sort(found), chosen[order]):
            raise MediaIndexError("it was changed since it was opened")
        cosines = unit_vectors(checked_vectors(rows[column], column)) @ vector
        places = order[np.searchsorted(chosen, found, sorter=order)]
        scores[first + places] = cosines.round(_DECIMALS)
    return scores


def checked_vectors(column, name):
    """Returns the vectors in an Arrow column as a float64 array, without null ones.

    Raises:
        MediaIndexError: if they are neither unit vectors nor zeros.
    """
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    column = column.drop_null()
    rows = column.flatten().to_numpy(zero_copy_only=False)
    rows = rows.reshape(len(column), -1).astype(np.float64)
    if not np.isfinite(rows).all():
        raise MediaIndexError(f"its embeddings {name} are not finite")
    lengths = np.linalg.norm(rows, axis=1)
    if not ((np.abs(lengths - 1) < _LENGTH_TOLERANCE) | (lengths == 0)).all():
        raise MediaIndexError(f"its embeddings {name} are no unit vectors")
    return rows


def check_vectors(table: lancedb.table.Table, columns: list[str]) -> None:
    """Reads all embeddings once, and refuses those that are no unit vectors.

    LanceDB leaves out rows with numbers that aren't finite silently.

    Raises:
        MediaIndexError: if there are any.
    """
    for column in columns:
        for batch in table.search().select([column]).to_batches(CHUNK_ROWS):
            checked_vectors(batch[column], column)


def _check_width(table, column, vector):
    width = table.schema.field(column).type.list_size
    if width != len(vector):
        raise MediaIndexError(
            f"The index has embeddings {column} of width {width}, the query has "
            f"{len(vector)}."
        )
