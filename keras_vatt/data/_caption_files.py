"""Caption files next to the videos of a folder, found by their names."""

import collections
import re
import threading

from keras_vatt._remote_files import RemoteFileError
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
        root: `pathlib.Path` or `RemotePath` of the corpus.
        videos: list of such paths, all videos of the corpus.
        paths: list of such paths, all other files that may have captions.
        language: str, such as `"en"`.
        max_bytes: int, size of the largest file of captions that is read.
    """

    def __init__(self, root, videos, paths, language, max_bytes):
        self._root = root
        self._language = language.lower()
        self._max_bytes = max_bytes
        self._others = set(paths)
        self._tables = {}
        self._lock = threading.Lock()
        self._subtitles = collections.defaultdict(list)
        self.findings = []
        self._assign_subtitles(videos, paths)

    def cues_of(self, video):
        """Returns the cues of a video. It may be called from several threads.

        Args:
            video: `pathlib.Path` or `RemotePath`, one of the videos.

        Returns:
            Tuple of a list of `Cue`, empty if there are none, and of a list of
            `Finding` about the caption files of the video. Problems of files of several
            videos are added to `findings`.
        """
        findings = []
        for read in (self._in_subtitles, self._in_csv, self._in_table):
            cues = read(video, findings)
            if cues:
                break
        return cues, findings

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
                reason = "there is no video of this name in its folder"
                self.findings.append(Finding(Problem.IGNORED, str(path), reason))
            for video in videos_by_name.get(owner, ()):
                self._subtitles[video].append(path)

    def _in_subtitles(self, video, findings):
        paths = sorted(self._subtitles.get(video, ()), key=self._rank)
        for number, path in enumerate(paths, 1):
            cues = _read(findings, path, read_subtitles, path, self._max_bytes)
            if not cues:
                continue
            reason = f"the captions of {video.name} are read from {path.name}"
            findings.extend(
                Finding(Problem.IGNORED, str(other), reason) for other in paths[number:]
            )
            return cues
        return []

    def _in_csv(self, video, findings):
        path = video.with_suffix(".csv")
        if path not in self._others:
            return []
        return _read(findings, path, read_caption_csv, path, self._max_bytes)

    def _in_table(self, video, findings):
        for folder in video.parents:
            if not folder.is_relative_to(self._root):
                break
            for name in CAPTION_TABLE_NAMES:
                table = self._table(folder / name)
                for video_id in _ids_of(video):
                    if video_id in table:
                        where = f"{folder / name}, {video_id!r}"
                        entry = table[video_id]
                        return _read(findings, where, captions_in_table, entry)
        return []

    def _table(self, path):
        if path not in self._others:
            return {}
        with self._lock:
            if path not in self._tables:
                self._tables[path] = {}
                try:
                    self._tables[path] = read_caption_table(path)
                except (ValueError, OSError) as error:
                    self.findings.append(_finding_of(error, path))
            return self._tables[path]

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


def _read(findings, where, read, *arguments):
    """Returns the cues that a function reads; problems are added to `findings`."""
    try:
        cues, left_out = read(*arguments)
    except (ValueError, OSError) as error:
        findings.append(_finding_of(error, where))
        return []
    if left_out:
        reason = f"{left_out} cues without words or with invalid times"
        findings.append(Finding(Problem.MALFORMED, str(where), reason))
    return cues


def _finding_of(error, where):
    if isinstance(error, RemoteFileError):
        return Finding(Problem.UNREACHABLE, str(where), error.reason)
    if isinstance(error, FileNotFoundError):
        return Finding(Problem.MISSING, str(where), str(error))
    return Finding(Problem.MALFORMED, str(where), str(error))


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
