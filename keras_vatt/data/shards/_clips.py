"""Stored clips by index: decoded, tokenized, and masked if incomplete."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable

from keras_vatt._remote_files import RemoteFileError
from keras_vatt.data._clip import Clip
from keras_vatt.data._clip_elements import Tokenize
from keras_vatt.data._clip_spec import ClipSpec
from keras_vatt.data._decoding_source import DecodingSource
from keras_vatt.data._report import CorpusReport, Finding, Problem
from keras_vatt.data.decoding._file_errors import MediaError
from keras_vatt.data.shards._jobs import RecordSource
from keras_vatt.data.shards._stored_clip import Cut

# Clips in a row that can't be reached before a run is ended: it can be resumed, and
# would otherwise skip clips until the store is back.
_MAX_UNREACHABLE = 16


class StoredClips(DecodingSource):
    """The clips of shards or of a dataset of the Hub, decoded on access.

    They are read by index, so that clips are shuffled over the whole dataset, and a run
    can resume at any of them. A stored clip that is longer than the input of the
    model is cut: in training at a random position, otherwise in its middle. Elements
    are those of `ClipSource`.

    A clip that can't be read is skipped and reported. If 16 clips in a row can't be
    reached in an object store, an error ends the run instead.

    Args:
        records: Stored clips, one split of `open_records`.
        spec: `ClipSpec`.
        tokenize: Callable from a list of n strings to an integer array of shape
            `(n, words)`.
        candidates: int, captions for each clip: the first ones that are stored, which
            repeat if there are fewer. Defaults to `5`, as in pre-training of VATT;
            retrieval is measured with `1`.
        training: bool, whether clips are cut at random: in time, and in space along
            the longer side of the frames. Defaults to `False`.
        seed: int, for training, see `ClipSource`. Defaults to `0`.
        findings: Findings of `open_records`, to be included in the report. Defaults to
            `()`.
        short_clips: str. How a stored clip is filled that is too short, see
            `ClipSource`. Defaults to `"repeat"`.
        on_error: str. `"skip"` skips clips that can't be read, and reports them;
            `"raise"` raises an error. Defaults to `"skip"`.

    Raises:
        MediaError: If there is a problem among `findings` and `on_error` is `"raise"`.
        ValueError: If `candidates` is not positive, or if `short_clips` or `on_error`
            is unknown.

    Example:
    ```python
    import numpy as np
    from keras_vatt.data import (
        ClipSpec, StoredClips, make_demo_corpus, open_records, prepare_shards
    )

    corpus = make_demo_corpus("demo", train_clips=2, test_clips=2, progress=False)
    prepare_shards(corpus, "demo-shards", num_shards=2, progress=False)
    splits, findings = open_records("demo-shards")

    def tokenize(texts):
        return np.ones((len(texts), 16), np.int32)

    spec = ClipSpec(num_frames=8, frame_size=64)
    clips = StoredClips(splits["train"], spec, tokenize, findings=findings)
    clips[0]["video"].shape  # (8, 64, 64, 3)
    ```
    """

    def __init__(
        self,
        records: RecordSource,
        spec: ClipSpec,
        tokenize: Tokenize,
        candidates: int = 5,
        training: bool = False,
        seed: int = 0,
        findings: Iterable[Finding] = (),
        short_clips: str = "repeat",
        on_error: str = "skip",
    ) -> None:
        super().__init__(
            spec, tokenize, candidates, training, seed, short_clips, on_error
        )
        self._records = records
        findings = list(findings)
        for finding in findings:
            self._findings.add(finding)
        # Reported with all of their clips, which are not counted one by one.
        self._lost = {f.where for f in findings if f.problem is Problem.MISSING}
        self._num_lost = sum(
            shard.records
            for shard in getattr(records, "shards", ())
            if shard.place in self._lost
        )
        self._unreachable = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._records)

    def decode(self, index: int, epoch: int = 0) -> Clip:
        """Decodes one clip without tokenizing it, see `DecodingSource.decode`."""
        try:
            stored = self._records.read(index)
            cut = self._cut(index, epoch)
            frames, waveform = stored.decode(cut, self._where(index))
        except MediaError as error:
            if str(error.path) not in self._lost:
                where = str(error.path)
                self._findings.found(index, error.problem, where, error.reason)
            self._count_unreachable(error)
            raise
        self._unreachable = 0
        captions = list(itertools.islice(_repeated(stored.captions), self.candidates))
        return Clip(frames, waveform, captions)

    @property
    def report(self) -> CorpusReport:
        """The current `CorpusReport`; decoding may still add findings."""
        return self._findings.report(len(self) - self._num_lost)

    def _where(self, index):
        return self._records.where(index)

    def _cut(self, index, epoch):
        if not self.training:
            return Cut(self.spec, short_clips=self.short_clips)
        generator = self._random(index, epoch)
        return Cut(
            self.spec, generator.uniform(), generator.uniform(), self.short_clips
        )

    def _count_unreachable(self, error):
        if error.problem is not Problem.UNREACHABLE:
            self._unreachable = 0
            return
        with self._lock:
            self._unreachable += 1
            count = self._unreachable
        if count >= _MAX_UNREACHABLE:
            raise RemoteFileError(
                str(error.path),
                f"{error.reason}. {count} clips in a row could not be reached: resume "
                "the run when the store is back",
            ) from error


def _repeated(captions):
    return itertools.cycle(captions) if captions else iter(())
