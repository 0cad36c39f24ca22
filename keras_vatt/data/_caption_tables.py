"""Captions in tables: the CSV file of one video, and HowTo100M's `caption.json`."""

import csv
import io
import json
import math

from keras_vatt.data._subtitles import Cue, read_caption_text

CAPTION_TABLE_NAMES = ("caption.json", "raw_caption.json")

_COLUMNS = ("start", "end", "text")
# For all videos of a folder. The parsed file takes many times its size in memory.
_MAX_TABLE_BYTES = 256 * 2**20


def read_caption_csv(path, max_bytes):
    """Reads the captions of one video from a CSV file, as HowTo100M has them.

    Args:
        path: `pathlib.Path`. Its columns are `start` and `end`, in seconds, and
            `text`; others are ignored.
        max_bytes: int, the largest file that is read.

    Returns:
        Tuple of a list of `Cue`, by start time, and of the number of rows left out.

    Raises:
        ValueError: If the file has no such columns, is not a CSV file, or is larger
            than `max_bytes`.
    """
    text = read_caption_text(path, max_bytes)
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        missing = [name for name in _COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            found = ", ".join(f"`{name}`" for name in reader.fieldnames or ())
            raise ValueError(
                f"{path} has no column `{missing[0]}`, but {found[:200] or 'no header'}"
            )
        rows = [[row[name] for name in _COLUMNS] for row in reader]
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: {error}") from error
    return _to_cues(rows)


def read_caption_table(path):
    """Reads the captions of many videos from a JSON file, as HowTo100M has them.

    Args:
        path: `pathlib.Path` of an object from the id of each video to its lists
            `start` and `end`, in seconds, and `text`.

    Returns:
        Dict from video id to the entry of the video; see `captions_in_table`.

    Raises:
        ValueError: If the file is not such an object, or has more than 256 MiB.
    """
    text = read_caption_text(path, _MAX_TABLE_BYTES)
    try:
        table = json.loads(text)
    except RecursionError as error:
        raise ValueError(f"{path} is nested too deeply") from error
    except ValueError as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(table, dict):
        raise ValueError(f"{path} is not an object that maps video ids to captions")
    return table


def captions_in_table(entry):
    """Returns the captions of one video of a table.

    Args:
        entry: dict of the lists `start`, `end` and `text`.

    Returns:
        Tuple of a list of `Cue`, by start time, and of the number of captions left out.

    Raises:
        ValueError: If the entry is something else, or its lists differ in length.
    """
    columns = [entry.get(name) for name in _COLUMNS] if isinstance(entry, dict) else []
    if not columns or not all(isinstance(column, list) for column in columns):
        raise ValueError("has no lists `start`, `end` and `text`")
    if len({len(column) for column in columns}) > 1:
        raise ValueError("has lists `start`, `end` and `text` of different lengths")
    return _to_cues(list(zip(*columns, strict=True)))


def _to_cues(rows):
    cues = [cue for row in rows if (cue := _to_cue(*row)) is not None]
    return sorted(cues, key=lambda cue: cue.start), len(rows) - len(cues)


def _to_cue(start, end, text):
    """Returns the `Cue` of a row, `None` if it has no words or no valid times."""
    try:
        start, end = float(start), float(end)
    except (TypeError, ValueError, OverflowError):
        return None
    caption = " ".join(text.split()) if isinstance(text, str) else ""
    is_valid = math.isfinite(end) and 0 <= start < end
    return (
        Cue(start, end, caption) if is_valid and caption and _is_text(caption) else None
    )


def _is_text(caption):
    """Returns whether text can be encoded: JSON may hold half of a surrogate pair."""
    try:
        caption.encode()
    except UnicodeEncodeError:
        return False
    return True
