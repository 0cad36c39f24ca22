"""The clips of a corpus by index: decoded, tokenized, and masked if incomplete."""

from __future__ import annotations

import collections
from collections.abc import Iterable

from keras_vatt.data._captions import CaptionOrder
from keras_vatt.data._clip import Clip, decode_clip
from keras_vatt.data._clip_elements import (
    Tokenize,
    find_wordless_captions,
)
from keras_vatt.data._clip_spec import ClipSpec
from keras_vatt.data._clip_starts import (
    is_short_file,
    length_reason,
    possible_starts,
    probe_all,
)
from keras_vatt.data._decoding_source import DecodingSource
from keras_vatt.data._manifest import Segment
from keras_vatt.data._report import Finding, Problem
from keras_vatt.data.decoding._file_errors import (
    MediaError,
    any_error_of,
)
from keras_vatt.data.decoding._short_clips import filled_reason
from keras_vatt.data.decoding._waveform import is_silent


class ClipSource(DecodingSource):
    """The clips of a corpus, decoded on access.

    There is one clip per segment. A segment longer than a clip is cut: in training at
    a random position, otherwise in its middle. A shorter one is widened around its
    center, within the file. A file shorter than a clip is repeated from its beginning,
    or filled as `short_clips` says. Segments of missing or unreadable files are
    skipped. `report` lists them all.

    An element is a dict of NumPy arrays:

    | key | dtype | shape |
    |---|---|---|
    | `video` | uint8 | `(num_frames, frame_size, frame_size, 3)` |
    | `audio` | float32, in `[-1, 1]` | `(audio_samples, 1)` |
    | `text` | int32, 0 = padding | `(candidates, words)` |
    | `audio_mask`, `text_mask` | float32, 1 = present | `()` |

    If a file has no audio or only silence, `audio` and `audio_mask` are zero. Without a
    caption, or with one in which `tokenize` finds no words, `text` and `text_mask` are
    zero.

    Args:
        segments: List of `Segment`. It must have all segments of a file: captions of
            neighboring segments are candidates.
        spec: `ClipSpec`.
        tokenize: Callable from a list of n strings to an integer array of shape
            `(n, words)`.
        candidates: int, captions for each clip, see `nearest_captions`. Defaults to
            `5`, as in pre-training of VATT; retrieval is measured with `1`.
        training: bool, whether clips are cut at random: in time, and in space along
            the longer side of the frames. Defaults to `False`.
        seed: int, for training: the seed, the epoch and the index of a clip determine
            how it is cut. Defaults to `0`.
        findings: Findings of `read_corpus`, to be included in the report. Defaults to
            `()`.
        num_workers: int, number of files whose headers are read in parallel. Defaults
            to `None`, the number of processors.
        short_clips: str. How a file that is shorter than a clip is filled: `"repeat"`
            starts over from its beginning, `"pad"` appends black frames and silence,
            `"error"` skips the file. Defaults to `"repeat"`.
        on_error: str. `"skip"` skips clips that can't be used, and reports them;
            `"raise"` raises an error: here, if the headers of a file show it,
            otherwise when the clip is decoded. Defaults to `"skip"`.

    Raises:
        MediaError: If a clip can't be used and `on_error` is `"raise"`.
        ValueError: If `candidates` is not positive, if `tokenize` returns an array
            of another shape, or if `short_clips` or `on_error` is unknown.

    Example:
    ```python
    import numpy as np
    from keras_vatt.data import ClipSource, ClipSpec, make_demo_corpus, read_corpus

    corpus = make_demo_corpus("demo", train_clips=2, test_clips=2, progress=False)
    segments, findings = read_corpus(corpus)

    def tokenize(texts):
        return np.array([[len(word) for word in text.split()][:3] for text in texts])

    spec = ClipSpec(num_frames=8, frame_size=64)
    source = ClipSource(segments, spec, tokenize, candidates=1, findings=findings)
    source[0]["video"].shape  # (8, 64, 64, 3)
    print(source.report)
    ```
    """

    def __init__(
        self,
        segments: list[Segment],
        spec: ClipSpec,
        tokenize: Tokenize,
        candidates: int = 5,
        training: bool = False,
        seed: int = 0,
        findings: Iterable[Finding] = (),
        num_workers: int | None = None,
        short_clips: str = "repeat",
        on_error: str = "skip",
    ) -> None:
        super().__init__(
            spec, tokenize, candidates, training, seed, short_clips, on_error
        )
        self._findings.extend(findings)
        self.segments = []
        self._starts = []
        self._positions = []
        paths = list(dict.fromkeys(segment.path for segment in segments))
        infos = dict(zip(paths, probe_all(paths, num_workers), strict=True))
        of_file = collections.defaultdict(list)
        for segment in segments:
            self._add(segment, infos[segment.path], len(of_file[segment.path]))
            of_file[segment.path].append(segment)
        self._caption_orders = {
            path: CaptionOrder(neighbors) for path, neighbors in of_file.items()
        }
        for finding in find_wordless_captions(self.segments, tokenize):
            self._findings.add(finding)

    def __len__(self) -> int:
        return len(self.segments)

    def decode(self, index: int, epoch: int = 0) -> Clip:
        """Decodes one clip without tokenizing it, see `DecodingSource.decode`."""
        segment = self.segments[index]
        start, crop_position = self._cut(index, epoch)
        try:
            with any_error_of(segment.path):
                frames, waveform = decode_clip(
                    segment.path, start, self.spec, crop_position, self.short_clips
                )
        except MediaError as error:
            self._found(index, error.problem, error.reason)
            raise
        if waveform is not None and is_silent(waveform):
            self._found(index, Problem.SILENT, "has only silence")
            waveform = None
        return Clip(frames, waveform, self.captions(index))

    def captions(self, index: int) -> list[str]:
        """Returns the caption candidates of a clip, see `nearest_captions`."""
        order = self._caption_orders[self.segments[index].path]
        return order.nearest(self._positions[index], self.candidates)

    def _where(self, index):
        return str(self.segments[index])

    def _add(self, segment, info, position):
        try:
            starts = possible_starts(segment, info, self.spec, self.short_clips)
        except MediaError as error:
            self._note(error.problem, segment, error.reason)
            return
        self.segments.append(segment)
        self._starts.append(starts)
        self._positions.append(position)
        if is_short_file(info, self.spec):
            reason = filled_reason(length_reason(info, self.spec), self.short_clips)
            self._note(Problem.SHORT, segment, reason)
        if not info.has_audio:
            self._note(Problem.NO_AUDIO, segment, "has no audio that can be decoded")
        if not segment.caption:
            self._note(Problem.NO_CAPTION, segment, "has no caption")

    def _note(self, problem, segment, reason):
        self._findings.add(Finding(problem, str(segment), reason))

    def _cut(self, index, epoch):
        """Returns the start of a clip, in seconds, and the position of its crop."""
        earliest, latest = self._starts[index]
        if not self.training:
            return (earliest + latest) / 2, 0.5
        generator = self._random(index, epoch)
        return generator.uniform(earliest, latest), generator.uniform()

    def _found(self, index, problem, reason):
        self._findings.found(index, problem, self._where(index), reason)
