"""Exact search: products in float32 of all vectors, cosines in float64 of the best."""

from __future__ import annotations

import math
import typing
from collections.abc import Iterable

import numpy as np

from keras_vatt.search._vector_blocks import (
    LENGTH_TOLERANCE,
    VectorBlock,
    cosines,
    read_blocks,
)
from keras_vatt.storage._memory_size import physical_memory

if typing.TYPE_CHECKING:
    import lancedb.table

# A column is kept in memory up to this fraction of it. An index has up to four columns.
_KEPT_FRACTION = 1 / 8

# The difference of two products from that of the rounded cosines is smaller: each is
# off by the length of its vector, and by the rounding of float32.
_MARGIN = 3 * LENGTH_TOLERANCE


class ExactSearch:
    """Searches all vectors in a column of a table, as the table is at the first search.

    The vectors are read at the first search and kept in memory. A column that is too
    large for that is read in each search.

    Args:
        table: LanceDB table of windows.
        column: string. Column of unit vectors; rows without one are left out.
    """

    def __init__(self, table: lancedb.table.Table, column: str):
        self._table = table
        self._column = column
        width = table.schema.field(column).type.list_size
        size = table.count_rows() * width * np.dtype(np.float32).itemsize
        memory = physical_memory()
        self._is_kept = math.isfinite(memory) and size <= _KEPT_FRACTION * memory
        self._kept = None

    def nearest(
        self, vectors: np.ndarray, count: int
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Finds the rows with the largest cosines with each of some vectors.

        Every row with a score as large as the last one's is returned, and usually a few
        more, so that ties can be broken by the order of the windows.

        Args:
            vectors: float64 array `(queries, dim)` of rows of length 1.
            count: int. At least so many rows are returned, if there are.

        Returns:
            List of a tuple for each query: the row ids, and their cosines, in no
            particular order.

        Raises:
            MediaIndexError: if embeddings are no unit vectors.
        """
        best = [_Best(vector, count) for vector in vectors]
        rounded = vectors.astype(np.float32)
        for block in self._blocks():
            for one, products in zip(best, rounded @ block.vectors.T, strict=True):
                one.add(block, products)
        return [one.found() for one in best]

    def _blocks(self) -> Iterable[VectorBlock]:
        if not self._is_kept:
            return read_blocks(self._table, self._column)
        if self._kept is None:
            self._kept = list(read_blocks(self._table, self._column))
        return self._kept


class _Best:
    """The rows, of the blocks so far, that may be among the nearest to a vector."""

    def __init__(self, vector, count):
        self._vector = vector
        self._count = count
        self._largest = np.zeros(0, np.float32)
        self._found = []

    def add(self, block, products):
        """Adds the rows of a block by their products with the vector in float32."""
        near = np.flatnonzero(products >= self._bound())
        if not len(near):
            return
        largest = np.concatenate([self._largest, products[near]])
        if len(largest) > self._count:
            largest = np.partition(largest, -self._count)[-self._count :]
        self._largest = largest
        near = near[products[near] >= self._bound()]
        scores = cosines(block.vectors[near], self._vector)
        self._found.append((block.row_ids[near], scores))

    def found(self):
        """Returns the row ids and the cosines."""
        if not self._found:
            return np.zeros(0, np.uint64), np.zeros(0)
        row_ids, scores = zip(*self._found, strict=True)
        return np.concatenate(row_ids), np.concatenate(scores)

    def _bound(self):
        if len(self._largest) < self._count:
            return -np.inf
        return self._largest.min() - _MARGIN
