"""Reads split files of datasets: lines, CSV rows and JSON objects, with their places.

Errors name the file and the line.
"""

import csv
import json
import pathlib
from collections.abc import Collection, Iterator, Mapping


def text_lines(path: pathlib.Path) -> Iterator[tuple[str, str]]:
    """Yields the place and the text of the lines that aren't empty.

    Args:
        path: `pathlib.Path` of a text file in UTF-8.

    Yields:
        Tuples of `"FILE, line N"` and the stripped line.

    Raises:
        ValueError: If a line is not valid UTF-8.
    """
    with path.open(encoding="utf-8-sig", errors="surrogateescape") as file:
        for number, line in enumerate(file, 1):
            where = f"{path}, line {number}"
            if any("\udc80" <= letter <= "\udcff" for letter in line):
                raise ValueError(f"{where}: must be UTF-8")
            if line.strip():
                yield where, line.strip()


def csv_rows(
    path: pathlib.Path, columns: Collection[str]
) -> Iterator[tuple[str, dict[str, str]]]:
    """Yields the place and the cells of each row of a CSV file with a header.

    Args:
        path: `pathlib.Path` of the file.
        columns: Collection of strings. Columns that it must have.

    Yields:
        Tuples of `"FILE, line N"` and of a dict from columns to cells.

    Raises:
        ValueError: If a column or a cell is missing.
    """
    rows = _cells(path, skipinitialspace=False)
    where, header = next(rows, (f"{path}, line 1", []))
    if not set(columns) <= set(header):
        missing = ", ".join(name for name in columns if name not in header)
        raise ValueError(f"{where}: the header has no column {missing}")
    for where, cells in rows:
        if len(cells) != len(header):
            raise ValueError(
                f"{where}: has {len(cells)} cells, the header has {len(header)}"
            )
        yield where, dict(zip(header, cells, strict=True))


def bare_csv_rows(path: pathlib.Path, count: int) -> Iterator[tuple[str, list[str]]]:
    """Yields the place and the cells of each row of a CSV file without a header.

    Lines that begin with `#` are comments.

    Args:
        path: `pathlib.Path` of the file.
        count: int. Minimum number of cells of a row.

    Yields:
        Tuples of `"FILE, line N"` and of a list of strings.

    Raises:
        ValueError: If a row is shorter.
    """
    for where, cells in _cells(path, skipinitialspace=True):
        if cells[0].startswith("#"):
            continue
        if len(cells) < count:
            raise ValueError(f"{where}: has {len(cells)} cells, needs {count}")
        yield where, cells


def read_json(path: pathlib.Path, *keys: str) -> dict:
    """Reads the object in a JSON file.

    Args:
        path: `pathlib.Path` of the file.
        *keys: Strings. Keys that the object must have.

    Returns:
        Dict.

    Raises:
        ValueError: If the file is not JSON, or if a key is missing.
    """
    try:
        content = json.loads(path.read_text("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: must be JSON ({error})") from error
    return checked_object(content, keys, str(path))


def checked_object(content: object, keys: Collection[str], where: str) -> dict:
    """Returns a JSON object; raises a `ValueError` if a key is missing."""
    if not isinstance(content, dict) or not set(keys) <= set(content):
        raise ValueError(
            f"{where}: must be an object with {', '.join(map(repr, keys))}"
        )
    return content


def stem_of(name: str, where: str) -> tuple[str, str | None]:
    """Splits the path of a media file into its stem and the name of its folder.

    Args:
        name: str. Path in a split file: `"file.avi"` or `"folder/file.avi"`.
        where: str. Place of the path, for the message.

    Returns:
        Tuple of two strings; the second is `None` without a folder.

    Raises:
        ValueError: If the path is absolute or leads out of the folder.
    """
    path = pathlib.PurePosixPath(name)
    is_unsafe = path.is_absolute() or ".." in path.parts or "\\" in name
    if is_unsafe or not path.name or "\0" in name:
        raise ValueError(
            f"{where}: {name!r} must be a path in the folder of the dataset"
        )
    return path.stem, path.parent.name or None


def number(text: object, where: str, name: str, kind: type = float) -> float:
    """Converts a cell to a number of at least 0; raises a `ValueError` otherwise."""
    try:
        value = kind(text)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: {name} must be a number: {text!r}") from error
    if not 0 <= value < float("inf"):
        raise ValueError(f"{where}: {name} must be at least 0: {text!r}")
    return value


def index_of(name: str, indices: Mapping[str, int], where: str) -> int:
    """Returns the index of a class; raises a `ValueError` if it is unknown."""
    if name not in indices:
        raise ValueError(f"{where}: there is no class {name!r}")
    return indices[name]


def _cells(path, skipinitialspace):
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.reader(file, strict=True, skipinitialspace=skipinitialspace)
        try:
            for cells in reader:
                where = f"{path}, line {reader.line_num}"
                # Some files have spaces after each comma, some have blank lines.
                cells = [cell.strip() for cell in cells]
                if any(cells):
                    yield where, cells
        except csv.Error as error:
            raise ValueError(f"{path}, line {reader.line_num}: {error}") from error
