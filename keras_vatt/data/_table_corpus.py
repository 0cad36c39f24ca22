"""Reads folders whose segments are in the tables of AudioSet or of YouTube-8M."""

from __future__ import annotations

import collections

from keras_vatt.data._clip_starts import probe_all
from keras_vatt.data._report import Finding, Problem
from keras_vatt.data._segment_tables import (
    AUDIOSET_CLASSES,
    AUDIOSET_SEGMENTS,
    YOUTUBE8M_CLASSES,
    audioset_classes,
    audioset_segment,
    is_youtube8m_table,
    youtube8m_classes,
    youtube8m_segments,
)
from keras_vatt.data._split_files import bare_csv_rows
from keras_vatt.data._split_names import split_of_name
from keras_vatt.data.decoding._file_errors import MediaError


class TableCorpus:
    """The segments that the tables of a folder list.

    Args:
        content: `FolderContent` of the folder.

    Attributes:
        rows: list of tuples of the place, the split, a `TableSegment` and the names of
            its classes. Empty if the folder has no tables.
        findings: list of `Finding` about rows and media.
    """

    def __init__(self, content) -> None:
        self._content = content
        self.rows = []
        self.findings = []
        self._read_audioset()
        self._read_youtube8m()

    def segments(self):
        """Finds the media of the rows.

        A file whose name has no time may be the whole video: it is opened, to find out
        its length.

        Returns:
            List of tuples of a path, times `(start, end)` or `()`, a split, and a list
            of the names of classes.
        """
        by_stem = collections.defaultdict(list)
        for path, video in self._content.videos.items():
            by_stem[video.stem].append(path)
        found = [(row, *_media_of(row[2], by_stem)) for row in self.rows]
        unsure = list(dict.fromkeys(path for _, path, is_cut in found if not is_cut))
        infos = dict(zip(unsure, probe_all(unsure, None), strict=True))
        segments = []
        for (where, split, segment, labels), path, is_cut in found:
            if path is None:
                reason = f"there is no video {segment.video!r}"
                self.findings.append(Finding(Problem.MISSING, where, reason, split))
                continue
            info = infos.get(path)
            if isinstance(info, MediaError):
                self.findings.append(Finding(info.problem, path, info.reason, split))
            else:
                is_cut = is_cut or segment.is_cut(info.end)
                times = () if is_cut else (segment.start, segment.end)
                segments.append((path, times, split, labels))
        self._report_others({path for _, path, _ in found})
        return segments

    def _read_audioset(self):
        classes = self._table(AUDIOSET_CLASSES)
        tables = {name: self._table(name) for name in AUDIOSET_SEGMENTS}
        if classes is None or not any(tables.values()):
            return
        names, indices = audioset_classes(classes)
        for name, split in AUDIOSET_SEGMENTS.items():
            rows = bare_csv_rows(tables[name], 4) if tables[name] else ()
            for where, row in rows:
                try:
                    segment = audioset_segment(where, row, indices)
                except ValueError as error:
                    self._reject(where, error, split)
                    continue
                labels = [names[label] for label in segment.labels]
                self.rows.append((where, split, segment, labels))

    def _read_youtube8m(self):
        vocabulary = self._table(YOUTUBE8M_CLASSES)
        if vocabulary is None:
            return
        videos = {video.with_suffix("") for video in self._content.videos.values()}
        tables = [
            path
            for path in self._content.captions
            if path.suffix.lower() == ".csv"
            and path.with_suffix("") not in videos
            and is_youtube8m_table(path)
        ]
        names = youtube8m_classes(vocabulary) if tables else {}
        for path in tables:
            self._read_youtube8m_table(path, names)

    def _read_youtube8m_table(self, path, names):
        split = split_of_name(path.stem)
        labels_of = {}
        for where, segment in youtube8m_segments(path, names):
            if isinstance(segment, ValueError):
                self._reject(where, segment, split)
                continue
            # A row has the segments of a class: a segment may be in several.
            key = segment.video, segment.start
            _, _, labels = labels_of.setdefault(key, (where, segment, []))
            labels.extend(names[label] for label in segment.labels)
        self.rows.extend(
            (where, split, segment, labels)
            for where, segment, labels in labels_of.values()
        )

    def _table(self, name):
        """Returns the file of this name that is the least deep, or `None`."""
        found = [path for path in self._content.captions if path.name == name]
        return min(found, key=lambda path: (len(path.parents), path), default=None)

    def _reject(self, where, error, split):
        reason = str(error).removeprefix(f"{where}: ")
        self.findings.append(Finding(Problem.MALFORMED, where, reason, split))

    def _report_others(self, used):
        others = [path for path in self._content.videos if path not in used]
        if others:
            reason = f"is in no table of segments (1 of {len(others)} such videos)"
            self.findings.append(Finding(Problem.IGNORED, others[0], reason))


def _media_of(segment, by_stem):
    """Returns the path of a segment's media or `None`, and whether it is surely cut."""
    for names, is_cut in ((segment.cut_names, True), (segment.whole_names, False)):
        for name in names:
            if name in by_stem:
                return min(by_stem[name]), is_cut
    return None, True
