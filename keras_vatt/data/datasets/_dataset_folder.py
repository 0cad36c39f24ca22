"""The folder of a dataset: finds split files and media by name."""

import collections
import os
import pathlib
from collections.abc import Iterable, Sequence

from keras_vatt.data._report import Finding, Problem
from keras_vatt.data._segment_tables import CUT_TOLERANCE
from keras_vatt.data.datasets._labeled_dataset import LabeledClip
from keras_vatt.data.decoding._file_errors import MediaError
from keras_vatt.data.decoding._media import probe
from keras_vatt.data.decoding._media_segment import MediaSegment
from keras_vatt.data.decoding._media_suffixes import AUDIO_SUFFIXES, VIDEO_SUFFIXES

# Preferred kinds of files with the same name: a video has audio too.
_PREFERENCE = (VIDEO_SUFFIXES, AUDIO_SUFFIXES)


class DatasetFolder:
    """The files of a dataset, found in one pass over its folder.

    Split files and media are found by name anywhere in the folder. Paths in split files
    never lead out of it; links in the folder are followed.

    Args:
        folder: str or path.
        layout: str. Description of the expected layout, for messages.

    Raises:
        FileNotFoundError: If there is no such folder.
    """

    def __init__(self, folder: str | os.PathLike[str], layout: str) -> None:
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
    def missing(self) -> tuple[Finding, ...]:
        """Findings about media that split files name and that are not in the folder."""
        return tuple(self._missing)

    def split_file(self, *names: str, required: bool = True) -> pathlib.Path | None:
        """Finds the file that has one of these names.

        Args:
            *names: Strings, in the order in which they are tried.
            required: bool. Whether a missing file is an error. Defaults to `True`.

        Returns:
            `pathlib.Path`, or `None`.

        Raises:
            FileNotFoundError: If no file is found and `required` is `True`.
            ValueError: If there are several at the same depth.
        """
        for name in names:
            found = sorted(self._by_name.get(name, ()), key=_depth)
            if len(found) > 1 and _depth(found[0]) == _depth(found[1]):
                raise ValueError(
                    f"{found[0]} and {found[1]} have the same name: pass the folder of "
                    "a single dataset."
                )
            if found:
                return found[0]
        if required:
            raise self.nothing_found(" or ".join(names))
        return None

    def split_files(self, suffix: str) -> list[pathlib.Path]:
        """Returns all files whose name ends in `suffix`, in alphabetical order."""
        names = sorted(name for name in self._by_name if name.endswith(suffix))
        return [self.split_file(name) for name in names]

    def clip(
        self,
        where: str,
        stems: Sequence[str],
        parent: str | None = None,
        times: tuple[float, float] | None = None,
        labels: Sequence[int] = (),
        caption: str | None = None,
    ) -> LabeledClip | None:
        """Returns the clip of a line, or `None` and adds to `missing`.

        Args:
            where: str. The split file and its line.
            stems: Sequence of strings. Possible names of the media file without suffix.
            parent: str. Name of its folder. Defaults to `None`, any.
            times: Tuple of the start and the end in seconds, for files that may be
                whole videos: a file that is much longer is cut to these times. Defaults
                to `None`, which uses the whole file.
            labels: Sequence of ints. Defaults to `()`.
            caption: str. Defaults to `None`.

        Returns:
            `LabeledClip` or `None`.
        """
        path = next(filter(None, (self._media(stem, parent) for stem in stems)), None)
        if path is None:
            reason = f"there is no media file {stems[0]!r}"
            # A dict, so that a video with several captions is listed once.
            self._missing[Finding(Problem.MISSING, where, reason)] = None
            return None
        self._found += 1
        segment = MediaSegment(str(path), *_uncut(path, times))
        return LabeledClip(segment, tuple(labels), caption)

    def has_media(self, stem: str) -> bool:
        """Returns whether there is a media file of this name without suffix."""
        return stem in self._by_stem

    def check_found(self) -> None:
        """Raises an error if no media were found.

        Raises:
            FileNotFoundError: It shows the expected layout.
        """
        if not self._found:
            missing = (
                self.missing[0].reason if self.missing else "the split files are empty"
            )
            raise self.nothing_found(f"media (of {len(self.missing)}: {missing})")

    def nothing_found(self, what: str) -> FileNotFoundError:
        """Returns an error about missing files, with the expected layout."""
        return FileNotFoundError(
            f"{str(self.folder)!r} has no {what}. Expected there: {self.layout}"
        )

    def _media(self, stem, parent):
        found = self._by_stem.get(stem, ())
        if parent is not None:
            found = [path for path in found if path.parent.name == parent]
        return min(found, key=lambda path: (_rank(path), path), default=None)


def found_clips(clips: Iterable[LabeledClip | None]) -> list[LabeledClip]:
    """Returns the clips whose media were found: all that are not `None`."""
    return [clip for clip in clips if clip is not None]


def _uncut(path, times):
    """Returns the times of a segment if the file is a whole video, else `()`."""
    if times is None:
        return ()
    start, end = times
    try:
        info = probe(path)
    except MediaError:
        return ()  # Decoding reports the error.
    return times if info.end > end - start + CUT_TOLERANCE else ()


def _files_below(folder):
    seen = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        place = os.path.realpath(parent)
        if place in seen:  # A link back to it.
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
