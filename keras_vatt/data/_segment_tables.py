"""Tables of labeled segments: AudioSet and YouTube-8M, and the names of their media."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterator, Mapping, Sequence

from keras_vatt.data._remote_path import CorpusPath
from keras_vatt.data._split_files import (
    csv_rows,
    index_of,
    number,
    stem_of,
    text_lines,
)

AUDIOSET_CLASSES = "class_labels_indices.csv"
# Split files of AudioSet, with their splits.
AUDIOSET_SEGMENTS = {
    "balanced_train_segments.csv": "train",
    "unbalanced_train_segments.csv": "train",
    "eval_segments.csv": "test",
}

YOUTUBE8M_CLASSES = "vocabulary.csv"
YOUTUBE8M_HEADER = "Class,Segments"
# Seconds of each segment of YouTube-8M.
_YOUTUBE8M_LENGTH = 5.0

# Seconds by which a file that is already cut may be longer than its segment.
CUT_TOLERANCE = 2.0


@dataclasses.dataclass(frozen=True)
class TableSegment:
    """A segment of a table.

    Args:
        video: str. Id of the video.
        start: float. Start in the whole video, in seconds.
        end: float. End, in seconds.
        labels: Tuple of ints. Its classes.
    """

    video: str
    start: float
    end: float
    labels: tuple[int, ...]

    @property
    def cut_names(self) -> list[str]:
        """Names without suffix that downloaders give to a file of the segment."""
        prefixes = ("", "Y")
        names = list(_timed_names(self.video, self.start, self.end))
        return [f"{prefix}{name}" for prefix in prefixes for name in names]

    @property
    def whole_names(self) -> list[str]:
        """Names without suffix of a file that is the segment or the whole video."""
        return [self.video, f"Y{self.video}"]

    def is_cut(self, length: float) -> bool:
        """Returns whether a file of this length is the segment alone."""
        return length <= self.end - self.start + CUT_TOLERANCE


def audioset_classes(path: pathlib.Path) -> tuple[tuple[str, ...], dict[str, int]]:
    """Reads the classes of AudioSet.

    Args:
        path: `pathlib.Path` or `RemotePath` of `class_labels_indices.csv`.

    Returns:
        Tuple of the names of the classes, and of a dict from their MIDs to indices.

    Raises:
        ValueError: If the file has another format.
    """
    names, indices = [], {}
    for where, row in csv_rows(path, ("index", "mid", "display_name")):
        if number(row["index"], where, "index", int) != len(names):
            raise ValueError(f"{where}: must be class {len(names)}")
        indices[row["mid"]] = len(names)
        names.append(row["display_name"])
    return tuple(names), indices


def audioset_segment(
    where: str, row: Sequence[str], indices: Mapping[str, int]
) -> TableSegment:
    """Reads a row `YTID, start, end, "MID,MID"` of a split file of AudioSet.

    Raises:
        ValueError: If the row has another format.
    """
    stem_of(row[0], where)
    start, end = (number(cell, where, "a time") for cell in row[1:3])
    if end <= start:
        raise ValueError(f"{where}: ends at {end} s, before it starts")
    labels = tuple(index_of(mid, indices, where) for mid in row[3].split(","))
    return TableSegment(row[0], start, end, labels)


def youtube8m_classes(path: CorpusPath) -> dict[int, str]:
    """Reads the classes of YouTube-8M.

    Args:
        path: `pathlib.Path` or `RemotePath` of `vocabulary.csv`.

    Returns:
        Dict from the index of each class to its name.

    Raises:
        ValueError: If the file has another format.
    """
    return {
        number(row["Index"], where, "Index", int): row["Name"]
        for where, row in csv_rows(path, ("Index", "Name"))
    }


def is_youtube8m_table(path: CorpusPath) -> bool:
    """Returns whether a CSV file has the header of YouTube-8M's segments."""
    with path.open(encoding="utf-8-sig", errors="surrogateescape") as file:
        # A limit, since a file without line breaks may be large.
        return file.readline(len(YOUTUBE8M_HEADER) + 3).strip() == YOUTUBE8M_HEADER


def youtube8m_segments(
    path: CorpusPath, names: Mapping[int, str]
) -> Iterator[tuple[str, TableSegment | ValueError]]:
    """Reads the rows `class,ID:start ID:start ...` of a table of YouTube-8M.

    Args:
        path: `pathlib.Path` or `RemotePath` of the table.
        names: dict from the index of each class to its name.

    Yields:
        Tuples of the place and of a `TableSegment` with one class, or of the
        `ValueError` about a row or a segment that can't be read.
    """
    # A line is longer than the `csv` module allows.
    lines = text_lines(path)
    next(lines)
    for where, line in lines:
        index, _, segments = line.partition(",")
        try:
            label = number(index, where, "Class", int)
            if label not in names:
                raise ValueError(f"{where}: there is no class {label}")
        except ValueError as error:
            yield where, error
            continue
        for text in segments.split():
            try:
                yield where, _youtube8m_segment(where, text, label)
            except ValueError as error:
                yield where, error


def _youtube8m_segment(where, text, label):
    video, _, time = text.rpartition(":")
    stem_of(video, where)
    start = number(time, where, "a time")
    return TableSegment(video, start, start + _YOUTUBE8M_LENGTH, (label,))


def _timed_names(video, start, end):
    """Yields names of a cut file: `ID_30`, `ID_30.000_40.000`, `ID_30000_40000`, ..."""
    for form in ("{:.0f}", "{:.1f}", "{:.3f}", "{:06.0f}"):
        yield f"{video}_{form.format(start)}_{form.format(end)}"
        yield f"{video}_{form.format(start)}"
    yield f"{video}_{start * 1000:.0f}_{end * 1000:.0f}"
    yield f"{video}_{start * 1000:.0f}"
