"""Reads and changes the tables of an index, as a user or a stranger could."""

import json

import lancedb
import numpy as np
import pyarrow as pa


def read_header(folder):
    (row,) = lancedb.connect(folder).open_table("header").to_arrow().to_pylist()
    return json.loads(row["header"])


def edit_header(folder, change):
    """Changes the header; its signature is kept."""
    header = read_header(folder)
    change(header)
    row = pa.table(
        [[json.dumps(header)]], schema=pa.schema({"header": pa.large_string()})
    )
    lancedb.connect(folder).create_table("header", row, mode="overwrite")


def read_rows(folder):
    """Returns the rows of an index, by path and time."""
    rows = lancedb.connect(folder).open_table("windows").to_arrow()
    return rows.sort_by([("path", "ascending"), ("start", "ascending")])


def edit_rows(folder, change):
    """Changes the columns of the windows: a dict of lists, with vectors as lists."""
    rows = read_rows(folder)
    columns = rows.to_pydict()
    change(columns)
    rows = pa.table(columns, schema=rows.schema)
    database = lancedb.connect(folder)
    database.create_table("windows", schema=rows.schema, mode="overwrite")
    database.open_table("windows").add(rows, on_bad_vectors="null")


def replace_rows(folder, rows, **options):
    """Replaces the table of windows by any other table."""
    options = {"on_bad_vectors": "null"} | options
    database = lancedb.connect(folder)
    database.create_table("windows", rows, mode="overwrite", **options)


def content(folder):
    """Returns all that an index says, without its signature."""
    header = read_header(folder)
    del header["signature"]
    return header, read_rows(folder).to_pylist()


def vectors(rows, column):
    """Returns the vectors in a column, without missing ones."""
    return np.array([row for row in rows[column].to_pylist() if row is not None])
