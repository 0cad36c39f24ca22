"""Blocks of the vectors in a column, which are checked when they are read."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from keras_vatt.inference._common_spaces import unit_vectors
from keras_vatt.search._errors import MediaIndexError

if typing.TYPE_CHECKING:
    import lancedb.table

# Rows that are read and compared together.
BLOCK_ROWS = 32_768

# Cosines are rounded so that equal media have equal scores, wherever they stand: the
# products of float32 vectors are exact to about this.
_DECIMALS = 6

# Unit vectors of float32, or zeros for an embedding of zeros.
LENGTH_TOLERANCE = 1e-4


@dataclasses.dataclass(frozen=True, eq=False)
class VectorBlock:
    """Vectors of some rows of a table, without rows that have none.

    Args:
        row_ids: uint64 array `(rows,)`.
        vectors: float32 array `(rows, dim)`.
    """

    row_ids: np.ndarray
    vectors: np.ndarray


def read_blocks(table: lancedb.table.Table, column: str) -> Iterator[VectorBlock]:
    """Reads the vectors in a column.

    Args:
        table: LanceDB table of windows.
        column: string. Column of unit vectors.

    Yields:
        `VectorBlock` of at most `BLOCK_ROWS` rows.

    Raises:
        MediaIndexError: if a vector is neither a unit vector nor all zeros.
    """
    rows = table.search().select([column]).with_row_id(True)
    for batch in rows.to_batches(BLOCK_ROWS):
        if batch[column].null_count:
            batch = batch.drop_null()
        vectors = checked_vectors(batch[column], column)
        yield VectorBlock(batch["_rowid"].to_numpy(), vectors)


def check_vectors(table: lancedb.table.Table, columns: list[str]) -> None:
    """Reads all embeddings once, and refuses those that are no unit vectors.

    Raises:
        MediaIndexError: if there are any.
    """
    for column in columns:
        for _ in read_blocks(table, column):
            pass


def check_width(table: lancedb.table.Table, column: str, width: int) -> None:
    """Refuses a query whose width is not that of the embeddings.

    Raises:
        MediaIndexError: if it is not.
    """
    expected = table.schema.field(column).type.list_size
    if width != expected:
        raise MediaIndexError(
            f"The index has embeddings {column} of width {expected}, the query has "
            f"{width}."
        )


def checked_vectors(column: pa.Array | pa.ChunkedArray, name: str) -> np.ndarray:
    """Returns the vectors in an Arrow column as a float32 array.

    Args:
        column: Arrow array of vectors, without null ones.
        name: string. Name of the column, for errors.

    Raises:
        MediaIndexError: if they are neither unit vectors nor zeros.
    """
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    rows = column.flatten().to_numpy(zero_copy_only=False)
    # `-1` in place of the width fails for a block without any vector.
    rows = rows.reshape(len(column), column.type.list_size)
    with np.errstate(over="ignore"):
        lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    is_unit = np.abs(lengths - 1) < LENGTH_TOLERANCE
    if not (is_unit | (lengths == 0)).all():
        reason = "no unit vectors" if np.isfinite(rows).all() else "not finite"
        raise MediaIndexError(f"its embeddings {name} are {reason}")
    return rows


def cosines(rows: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Computes the cosines of rows with a unit vector in float64, and rounds them."""
    return (unit_vectors(rows) @ vector).round(_DECIMALS)
