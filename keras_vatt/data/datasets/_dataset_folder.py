"""The folder of a set: its split files line by line, its media by name."""

import collections
import csv
import json
import os
import pathlib

from keras_vatt.data._report import Finding, Problem
from keras_vatt.data.datasets._labeled_dataset import LabeledClip
from keras_vatt.data.decoding._media import MediaError, probe
from keras_vatt.data.decoding._media_segment import MediaSegment
from keras_vatt.data.decoding._media_suffixes import AUDIO_SUFFIXES, VIDEO_SUFFIXES

# Of two files of one name the first kind is taken: a video has sound as well.
_PREFERENCE = (VIDEO_SUFFIXES, AUDIO_SUFFIXES)
# Seconds by which a file may be longer than its segment and still be cut to it.
_CUT_TOLERANCE = 2.0


class SetFolder:
    """What lies in the folder of a set, found by one walk through it.

    Split files and media are found by name wherever in the folder they are. Names
    that split files give never lead out of it; links that lie in it are followed.

    Args:
        folder: string or path.
        layout: string, the layout that is expected, for errors.

    Raises:
        FileNotFoundError: if there is no such folder.
    """

    def __init__(self, folder, layout):
        self.folder = pathlib.Path(folder)
        self.layout = layout
        if not self.folder.is_dir():
            raise FileNotFoundError(f"There is no folder {str(folder)!r}.")
        self._missing = {}
        self._found = 0
        self._by_name = collections.defaultdict(list)
        self._by_stem = collections.defaultdict(list)
        for path in _files_below(self.folder):
            self._by_name[path.name].append(path)
            if _rank(path) < len(_PREFERENCE):
                self._by_stem[path.stem].append(path)

    @property
    def missing(self):
        """Tuple of `Finding`: what the split files name and the folder has not."""
        return tuple(self._missing)

    def split_file(self, *names, required=True):
        """The one file that has one of these names.

        Args:
            *names: strings, in the order in which they are tried.
            required: bool. Whether to raise where there is none. Defaults to `True`.

        Returns:
            Path, or `None`.

        Raises:
            FileNotFoundError: if there is none.
            ValueError: if there are several equally deep in the folder.
        """
        for name in names:
            found = sorted(self._by_name.get(name, ()), key=_depth)
            if len(found) > 1 and _depth(found[0]) == _depth(found[1]):
                raise ValueError(
                    f"{found[0]} and {found[1]} could both be meant: give the folder "
                    "of one set."
                )
            if found:
                return found[0]
        if required:
            raise self.nothing_found(" or ".join(names))
        return None

    def split_files(self, suffix):
        """All files whose name ends so, in alphabetical order."""
        names = sorted(name for name in self._by_name if name.endswith(suffix))
        return [self.split_file(name) for name in names]

    def clip(self, where, stems, parent=None, times=None, labels=(), caption=None):
        """The clip of a line, or `None` and an entry in `missing`.

        Args:
            where: string, the split file and its line.
            stems: strings, names without suffix under which the media may lie.
            parent: string, the folder in which it lies. Defaults to `None`, any.
            times: tuple of start and end in seconds, for files that may or may not be
                cut: a file much longer than that is a whole video. Defaults to
                `None`, which takes the file as it is.
            labels: tuple of ints.
            caption: string.

        Returns:
            `LabeledClip` or `None`.
        """
        path = next(filter(None, (self._media(stem, parent) for stem in stems)), None)
        if path is None:
            reason = f"there is no media file {stems[0]!r}"
            # Once for a video that has several captions.
            self._missing[Finding(Problem.MISSING, where, reason)] = None
            return None
        self._found += 1
        segment = MediaSegment(str(path), *_uncut(path, times))
        return LabeledClip(segment, tuple(labels), caption)

    def has_media(self, stem):
        """Whether there is a media file of this name, a bool."""
        return stem in self._by_stem

    def check_found(self):
        """Raises where none of the media was found.

        Raises:
            FileNotFoundError: it says what was expected.
        """
        if not self._found:
            missing = self.missing[0].reason if self.missing else "no line in it"
            raise self.nothing_found(f"media (of {len(self.missing)}: {missing})")

    def nothing_found(self, what):
        """The error that says what was looked for, and where."""
        return FileNotFoundError(
            f"{str(self.folder)!r} has no {what}. Expected there: {self.layout}"
        )

    def _media(self, stem, parent):
        found = self._by_stem.get(stem, ())
        if parent is not None:
            found = [path for path in found if path.parent.name == parent]
        return min(found, key=lambda path: (_rank(path), path), default=None)


def text_lines(path):
    """Yields the place and the text of the lines that aren't empty.

    Args:
        path: path of a text file in UTF-8.

    Yields:
        Tuples of `"FILE, line N"` and the stripped line.

    Raises:
        ValueError: if a line is no UTF-8.
    """
    with path.open(encoding="utf-8-sig", errors="surrogateescape") as file:
        for number, line in enumerate(file, 1):
            where = f"{path}, line {number}"
            if any("\udc80" <= letter <= "\udcff" for letter in line):
                raise ValueError(f"{where}: is no UTF-8")
            if line.strip():
                yield where, line.strip()


def csv_rows(path, columns):
    """Yields the place and the cells, by name, of a CSV with a header.

    Args:
        path: path of the file.
        columns: strings, the columns that it must have.

    Yields:
        Tuples of `"FILE, line N"` and a dict.

    Raises:
        ValueError: if a column, or a cell of one, is not there.
    """
    rows = _cells(path, skipinitialspace=False)
    where, header = next(rows, (f"{path}, line 1", []))
    if not set(columns) <= set(header):
        lacking = ", ".join(name for name in columns if name not in header)
        raise ValueError(f"{where}: the header has no column {lacking}")
    for where, cells in rows:
        if len(cells) != len(header):
            raise ValueError(
                f"{where}: has {len(cells)} cells, the header {len(header)}"
            )
        yield where, dict(zip(header, cells, strict=True))


def bare_csv_rows(path, count):
    """Yields the place and the cells of a CSV without header, `#` for comments.

    Args:
        path: path of the file.
        count: int, how many cells a row has at least.

    Yields:
        Tuples of `"FILE, line N"` and a list of strings.

    Raises:
        ValueError: if a row is shorter.
    """
    for where, cells in _cells(path, skipinitialspace=True):
        if cells[0].startswith("#"):
            continue
        if len(cells) < count:
            raise ValueError(f"{where}: has {len(cells)} cells, not {count}")
        yield where, cells


def read_json(path, *keys):
    """The object in a JSON file, which must have these keys.

    Raises:
        ValueError: if it is no JSON, or has not all keys.
    """
    try:
        content = json.loads(path.read_text("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: is no JSON ({error})") from error
    return checked_object(content, keys, str(path))


def checked_object(content, keys, where):
    """The same object; raises `ValueError` where it lacks a key."""
    if not isinstance(content, dict) or not set(keys) <= set(content):
        raise ValueError(f"{where}: is no object with {', '.join(map(repr, keys))}")
    return content


def stem_of(name, where):
    """The name of a media file without folder and suffix, and its folder's name.

    Args:
        name: string, what a split file gives: `"file.avi"` or `"folder/file.avi"`.
        where: string, for the error.

    Returns:
        Tuple of two strings, the second `None` where there is no folder.

    Raises:
        ValueError: if the path is absolute or leads upward.
    """
    path = pathlib.PurePosixPath(name)
    is_unsafe = path.is_absolute() or ".." in path.parts or "\\" in name
    if is_unsafe or not path.name or "\0" in name:
        raise ValueError(f"{where}: {name!r} is no path within the folder of the set")
    return path.stem, path.parent.name or None


def number(text, where, name, kind=float):
    """The number in a cell; raises `ValueError` where it is none."""
    try:
        value = kind(text)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: {name} is no number: {text!r}") from error
    if not 0 <= value < float("inf"):
        raise ValueError(f"{where}: {name} must be at least 0: {text!r}")
    return value


def index_of(name, indices, where):
    """The index of a class; raises `ValueError` for a class that isn't listed."""
    if name not in indices:
        raise ValueError(f"{where}: there is no class {name!r}")
    return indices[name]


def kept(clips):
    """The clips that were found."""
    return [clip for clip in clips if clip is not None]


def _cells(path, skipinitialspace):
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.reader(file, strict=True, skipinitialspace=skipinitialspace)
        try:
            for cells in reader:
                where = f"{path}, line {reader.line_num}"
                # Some lists have blanks after each comma, some blank lines.
                cells = [cell.strip() for cell in cells]
                if any(cells):
                    yield where, cells
        except csv.Error as error:
            raise ValueError(f"{path}, line {reader.line_num}: {error}") from error


def _uncut(path, times):
    """The bounds of a segment in a file that is a whole video."""
    if times is None:
        return ()
    start, end = times
    try:
        info = probe(path)
    except MediaError:
        return ()  # Whoever decodes it will say what is wrong.
    return times if info.end > end - start + _CUT_TOLERANCE else ()


def _files_below(folder):
    seen = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        place = os.path.realpath(parent)
        if place in seen:  # A link that leads back.
            folders.clear()
            continue
        seen.add(place)
        folders.sort()
        yield from (pathlib.Path(parent, name) for name in names if name[0] != ".")


def _depth(path):
    return len(path.parts)


def _rank(path):
    suffix = path.suffix.lower()
    kinds = (rank for rank, kind in enumerate(_PREFERENCE) if suffix in kind)
    return next(kinds, len(_PREFERENCE))
