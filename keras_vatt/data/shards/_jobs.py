"""The work of preparing a dataset: from segments, records or rows to stored clips."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Protocol

from keras_vatt._file_stamps import file_stamp
from keras_vatt._remote_files import is_remote
from keras_vatt.data._manifest import Segment
from keras_vatt.data._report import Finding, Problem
from keras_vatt.data.decoding._file_errors import any_error_of
from keras_vatt.data.decoding._media import open_media
from keras_vatt.data.shards._stored_clip import StoredClip, StoredFile
from keras_vatt.data.shards._stored_form import (
    StoredForm,
    encode_media,
    parts_of,
    short_reason,
)

Note = Callable[[Finding], None]

_REASONS = {
    Problem.NO_AUDIO: "has no audio that can be decoded",
    Problem.SILENT: "has only silence",
}


class RecordSource(Protocol):
    """Stored clips by index, such as `Shards`."""

    def __len__(self) -> int:
        """Returns the number of clips."""

    def read(self, index: int) -> StoredClip:
        """Returns a clip, or raises a `MediaError`."""

    def where(self, index: int) -> str:
        """Returns the place of a clip, for messages."""

    def captions(self, limit: int | None = None) -> Iterator[str]:
        """Yields the first caption of each clip."""


class Job(Protocol):
    """A piece of work that gives one or more clips."""

    def clips(self, form: StoredForm, note: Note) -> Iterator[StoredClip]:
        """Yields clips with `StoredFrames`.

        Args:
            form: `StoredForm`.
            note: Function that gets each `Finding`.

        Raises:
            MediaError: If the clip can't be decoded.
        """

    def describe(self) -> list:
        """Returns JSON values on which the clips depend."""


@dataclasses.dataclass(frozen=True)
class SegmentJob:
    """A segment of a media file.

    Args:
        segment: `Segment`.
        captions: Tuple of str, see `nearest_captions`.
    """

    segment: Segment
    captions: tuple[str, ...]

    def clips(self, form: StoredForm, note: Note) -> Iterator[StoredClip]:
        """Yields the clips of the segment, see `Job`."""
        segment = self.segment
        with any_error_of(segment.path), open_media(segment.path) as media:
            yield from _encoded(
                StoredClip(
                    None,
                    self.captions,
                    str(segment.path).rpartition("/")[2],
                    labels=_labels_of(segment),
                ),
                media,
                segment,
                form,
                note,
            )

    def describe(self) -> list:
        """Returns JSON values on which the clips depend."""
        stamp = local_stamp(str(self.segment.path))
        return [dataclasses.asdict(self.segment), list(self.captions), stamp]


@dataclasses.dataclass(frozen=True)
class RecordJob:
    """A stored clip. Its frames are copied, or those of its media file encoded.

    Args:
        source: `RecordSource`.
        index: int.
    """

    source: RecordSource
    index: int

    def clips(self, form: StoredForm, note: Note) -> Iterator[StoredClip]:
        """Yields the clips of the record, see `Job`."""
        where = self.source.where(self.index)
        stored = self.source.read(self.index)
        stored = dataclasses.replace(
            stored, captions=stored.captions[: form.candidates]
        )
        if not isinstance(stored.media, StoredFile):
            _note_missing(stored, where, note)
            yield stored
            return
        with contextlib.ExitStack() as opened:
            opened.enter_context(any_error_of(where))
            media = opened.enter_context(open_media(stored.media.content))
            audio = None
            if stored.media.audio is not None:
                audio = opened.enter_context(open_media(stored.media.audio))
            yield from _encoded(stored, media, Segment(where), form, note, audio)

    def describe(self) -> list:
        """Returns JSON values on which the clips depend."""
        where = self.source.where(self.index)
        return [where, local_stamp(where.rpartition(", record ")[0])]


@functools.lru_cache(maxsize=4096)
def local_stamp(place):
    """Returns the `file_stamp` of a local file, which is read once per run."""
    # A request per remote file would take hours.
    return None if is_remote(place) else file_stamp(place)


def _labels_of(segment):
    """Returns the names of classes in the column `labels` of a manifest."""
    labels = segment.extra.get("labels") or ()
    labels = [labels] if isinstance(labels, str) else labels
    return tuple(map(str, labels)) if isinstance(labels, list | tuple) else ()


def _encoded(clip, media, segment, form, note, audio=None):
    reason = short_reason(media, form)
    if reason is not None:
        note(Finding(Problem.SHORT, str(segment), reason))
    for start, spec in parts_of(segment, media, form):
        frames, problem = encode_media(media, start, spec, audio)
        if problem is not None:
            note(Finding(problem, str(segment), _REASONS[problem]))
        if not clip.captions:
            note(Finding(Problem.NO_CAPTION, str(segment), "has no caption"))
        yield dataclasses.replace(
            clip, media=frames, start=start, end=start + spec.duration
        )


def _note_missing(clip, where, note):
    if clip.media.waveform is None:
        note(Finding(Problem.NO_AUDIO, where, _REASONS[Problem.NO_AUDIO]))
    if not clip.captions:
        note(Finding(Problem.NO_CAPTION, where, "has no caption"))
