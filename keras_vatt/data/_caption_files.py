"""Caption files next to the videos of a folder, found by their names."""

import collections
import re

from keras_vatt.data._caption_tables import (
    CAPTION_TABLE_NAMES,
    captions_in_table,
    read_caption_csv,
    read_caption_table,
)
from keras_vatt.data._report import Finding, Problem
from keras_vatt.data._subtitles import SUBTITLE_SUFFIXES, read_subtitles

# A language tag, such as `en`, `en-US`, `zh-Hans` or YouTube's `en-orig`.
_LANGUAGE = re.compile(r"([a-z]{2,3})([-_][a-z0-9_-]{1,40})?", re.IGNORECASE)
_QUALIFIERS = {"auto", "cc", "default", "hi", "sdh"}
# The id of a YouTube video at the end of a name, as yt-dlp writes it.
_BRACKETED_ID = re.compile(r"\[([\w-]{11})\]$")


class CaptionFiles:
    """The caption files of a folder tree.

    The captions of `talk.mp4` are in a file next to it: WebVTT or SubRip, named
    `talk.vtt`, `talk.en.vtt`, `talk.mp4.vtt` or `talk.mp4.en.vtt`; a CSV file
    `talk.csv` with the columns `start,end,text`; or the entry `talk` of a
    `caption.json`, in its folder or in one above it. The first that can be read is
    used, in this order. Of several languages, `language` comes first, then its
    regional variants, then a file without a language, then the others in
    alphabetical order.

    Args:
        root: `pathlib.Path` of the corpus.
        videos: list of `pathlib.Path`, all videos of the corpus.
        paths: list of `pathlib.Path`, all other files that may have captions.
        language: str, such as `"en"`.
        max_bytes: int, size of the largest file of captions that is read.
    """

    def __init__(self, root, videos, paths, language, max_bytes):
        self._root = root
        self._language = language.lower()
        self._max_bytes = max_bytes
        self._others = set(paths)
        self._tables = {}
        self._subtitles = collections.defaultdict(list)
        self.findings = []
        self._assign_subtitles(videos, paths)

    def cues_of(self, video):
        """Returns the cues of a video.

        Args:
            video: `pathlib.Path`, one of the videos.

        Returns:
            List of `Cue`; empty if there are none. Problems of caption files are added
            to `findings`.
        """
        return self._in_subtitles(video) or self._in_csv(video) or self._in_table(video)

    def _assign_subtitles(self, videos, paths):
        """Assigns each subtitle file to the videos with its name."""
        videos_by_name = collections.defaultdict(list)
        for video in videos:
            for name in {video.stem, video.name}:
                videos_by_name[video.with_name(name)].append(video)
        for path in paths:
            if path.suffix.lower() not in SUBTITLE_SUFFIXES:
                continue
            names = map(path.with_name, _video_names(path.stem))
            owner = next(filter(videos_by_name.get, names), None)
            if owner is None:
                self._add(
                    Problem.IGNORED,
                    path,
                    "there is no video of this name in its folder",
                )
            for video in videos_by_name.get(owner, ()):
                self._subtitles[video].append(path)

    def _in_subtitles(self, video):
        paths = sorted(self._subtitles[video], key=self._rank)
        for number, path in enumerate(paths, 1):
            cues = self._read(path, read_subtitles, path, self._max_bytes)
            if not cues:
                continue
            reason = f"the captions of {video.name} are read from {path.name}"
            for other in paths[number:]:
                self._add(Problem.IGNORED, other, reason)
            return cues
        return []

    def _in_csv(self, video):
        path = video.with_suffix(".csv")
        if path not in self._others:
            return []
        return self._read(path, read_caption_csv, path, self._max_bytes)

    def _in_table(self, video):
        for folder in video.parents:
            if not folder.is_relative_to(self._root):
                break
            for name in CAPTION_TABLE_NAMES:
                table = self._table(folder / name)
                for video_id in _ids_of(video):
                    if video_id in table:
                        where = f"{folder / name}, {video_id!r}"
                        return self._read(where, captions_in_table, table[video_id])
        return []

    def _table(self, path):
        if path not in self._others:
            return {}
        if path not in self._tables:
            self._tables[path] = {}
            try:
                self._tables[path] = read_caption_table(path)
            except (ValueError, OSError) as error:
                self._add(Problem.MALFORMED, path, str(error))
        return self._tables[path]

    def _read(self, where, read, *arguments):
        try:
            cues, left_out = read(*arguments)
        except (ValueError, OSError) as error:
            self._add(Problem.MALFORMED, where, str(error))
            return []
        if left_out:
            reason = f"{left_out} cues without words or with invalid times"
            self._add(Problem.MALFORMED, where, reason)
        return cues

    def _add(self, problem, where, reason):
        self.findings.append(Finding(problem, str(where), reason))

    def _rank(self, path):
        """Returns the sort key of a subtitle file; see the class."""
        language = _language_of(path.stem)
        if language is None:
            order = 2
        elif language == self._language:
            order = 0
        elif language.startswith((f"{self._language}-", f"{self._language}_")):
            order = 1
        else:
            order = 3
        is_generated = language is not None and language.endswith("-orig")
        suffix = SUBTITLE_SUFFIXES.index(path.suffix.lower())
        return order, is_generated, language or "", suffix, path.name


def _video_names(stem):
    """Yields the names that the video of a subtitle file may have, longest first."""
    yield stem
    for _ in range(2):
        stem, dot, tag = stem.rpartition(".")
        is_tag = _LANGUAGE.fullmatch(tag) or tag.lower() in _QUALIFIERS
        if not (dot and is_tag):
            return
        yield stem


def _language_of(stem):
    """Returns the language that the name of a subtitle file ends in, or `None`."""
    name, _, tag = stem.rpartition(".")
    if tag.lower() in _QUALIFIERS:
        tag = name.rpartition(".")[2]
    is_language = "." in stem and _LANGUAGE.fullmatch(tag)
    return tag.lower() if is_language else None


def _ids_of(video):
    bracketed = _BRACKETED_ID.search(video.stem)
    return [video.stem] if bracketed is None else [video.stem, bracketed[1]]
