"""The approximate index of a column of embeddings, and its measured recall.

LanceDB sorts the vectors into partitions by k-means, of which a search reads only the
nearest ones. How many are needed depends on the media, so it is measured: windows of
the index are searched for exactly and approximately.
"""

from __future__ import annotations

import math
import typing

import numpy as np
from lancedb.index import IvfFlat, IvfSq

from keras_vatt.search._errors import MediaIndexError
from keras_vatt.search._nearest import ExactSearch
from keras_vatt.search._vector_blocks import BLOCK_ROWS, checked_vectors, cosines

if typing.TYPE_CHECKING:
    import lancedb.table

# Vectors that are kept as int8 are misordered if they are near, so so many times the
# rows that are asked for are compared.
_CANDIDATES = 4

# An exact search of fewer rows takes milliseconds, and there is little to partition.
FEWEST_ROWS = 4_096

# From here on, vectors are kept as int8 too: a quarter of the bytes is read.
_QUANTIZED_ROWS = 262_144

# The recall is that of the ten best windows, over so many windows as queries.
_TOP_K = 10
_QUERIES = 50

# The smallest fraction of the partitions with this recall is searched.
_WANTED_RECALL = 0.95
_FRACTIONS = (1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2)


def build_approximate_indexes(
    table: lancedb.table.Table, columns: list[str]
) -> dict[str, dict]:
    """Builds an approximate index of each column that has enough rows.

    Args:
        table: LanceDB table of windows.
        columns: list of the names of its columns of embeddings.

    Returns:
        Dict from a column to a dict of `"type"`, `"probes"`, the partitions that a
        search reads, and `"recall"`, the measured recall at 10. Columns with too few
        rows are missing.
    """
    return {
        column: _build(table, column, rows)
        for column in columns
        if (rows := table.count_rows(f"{column} IS NOT NULL")) >= FEWEST_ROWS
    }


def drop_approximate_indexes(table: lancedb.table.Table) -> None:
    """Removes the approximate indexes of a table, if it has any."""
    for index in table.list_indices():
        table.drop_index(index.name)


def approximate_nearest(
    table: lancedb.table.Table,
    column: str,
    vector: np.ndarray,
    count: int,
    probes: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Finds rows whose embeddings have a large cosine with a vector.

    Args:
        table: LanceDB table of windows, with an approximate index of the column.
        column: string. Column of unit vectors.
        vector: float64 array `(dim,)` of length 1.
        count: int. Number of rows that are wanted.
        probes: int. Partitions of the approximate index that are searched.

    Returns:
        Tuple of the row ids and of their exact cosines, in no particular order.

    Raises:
        MediaIndexError: if embeddings are no unit vectors.
    """
    query = table.search(vector.astype(np.float32), vector_column_name=column)
    query = query.distance_type("dot").select(["_distance"]).with_row_id(True)
    found = query.nprobes(probes).limit(_CANDIDATES * count).to_arrow()
    row_ids = found["_rowid"].to_numpy()
    return row_ids, _scores(table, column, row_ids, vector)


def _scores(table, column, row_ids, vector):
    scores = np.zeros(len(row_ids))
    for first in range(0, len(row_ids), BLOCK_ROWS):
        chosen = row_ids[first : first + BLOCK_ROWS]
        rows = table.take_row_ids(chosen.tolist()).select([column]).with_row_id()
        rows = rows.to_arrow()
        order = np.argsort(chosen)
        found = rows["_rowid"].to_numpy()
        if not np.array_equal(np.sort(found), chosen[order]):
            raise MediaIndexError("it was changed since it was opened")
        places = order[np.searchsorted(chosen, found, sorter=order)]
        vectors = checked_vectors(rows[column], column)
        scores[first + places] = cosines(vectors, vector)
    return scores


def _build(table, column, rows):
    partitions = round(math.sqrt(rows))
    kind = IvfFlat if rows < _QUANTIZED_ROWS else IvfSq
    config = kind(distance_type="dot", num_partitions=partitions)
    table.create_index(column, config=config, replace=True)
    probes, recall = _tuned(table, column, partitions)
    return {"type": kind.__name__, "probes": probes, "recall": recall}


def _tuned(table, column, partitions):
    """Returns the number of partitions to search, and the recall with it."""
    queries = _sample(table, column)
    exact = [
        _best(*found) for found in ExactSearch(table, column).nearest(queries, _TOP_K)
    ]
    for fraction in _FRACTIONS:
        probes = max(1, math.ceil(fraction * partitions))
        found = [
            _best(*approximate_nearest(table, column, query, _TOP_K, probes))
            for query in queries
        ]
        pairs = zip(exact, found, strict=True)
        recall = float(np.mean([len(e & f) / len(e) for e, f in pairs]))
        if recall >= _WANTED_RECALL:
            break
    return probes, round(recall, 4)


def _sample(table, column):
    """Returns embeddings of windows that are spread over the table."""
    ids = table.search().where(f"{column} IS NOT NULL").select(["path"])
    ids = ids.with_row_id(True).to_arrow()["_rowid"].to_pylist()
    chosen = ids[:: max(1, len(ids) // _QUERIES)][:_QUERIES]
    rows = table.take_row_ids(chosen).select([column]).to_arrow()
    return checked_vectors(rows[column], column).astype(np.float64)


def _best(row_ids, scores):
    order = np.lexsort((row_ids, -scores))[:_TOP_K]
    return set(row_ids[order].tolist())
