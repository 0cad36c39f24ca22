"""Clips of a corpus by number: decoded, tokenized, masked where something lacks."""

import collections
import concurrent.futures
import dataclasses
import logging
import os

import numpy as np

from keras_vatt._printable import printable_line
from keras_vatt.data._captions import CaptionOrder
from keras_vatt.data._report import CorpusReport, Finding, Problem
from keras_vatt.data.decoding._extents import (
    decode_extent_frames,
    decode_extent_waveform,
)
from keras_vatt.data.decoding._file_errors import any_error_of, check_on_error
from keras_vatt.data.decoding._media import (
    TIME_TOLERANCE,
    MediaError,
    open_media,
    probe,
)
from keras_vatt.data.decoding._short_clips import check_short_clips, filled_reason
from keras_vatt.data.decoding._waveform import is_silent

_LOGGER = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, eq=False)
class Clip:
    """What is seen, heard and said in a few seconds of a file.

    Args:
        frames: NumPy array of uint8, shape `(num_frames, size, size, 3)`.
        waveform: NumPy array of float32, shape `(audio_samples,)`, or `None` if the
            clip has no sound.
        captions: List of str, the clip's own caption first; empty if it has none.
    """

    frames: np.ndarray
    waveform: np.ndarray | None
    captions: list[str]


def decode_clip(source, start, spec, crop_position=0.5, short_clips="repeat"):
    """Decodes the frames and the audio of one clip.

    Args:
        source: str or path of a file, its `bytes`, a binary file object, or an open
            `keras_vatt.data.Media`.
        start: float, seconds after the start of the file.
        spec: `keras_vatt.data.ClipSpec`.
        crop_position: float in `[0, 1]`, see `decode_frames`. Defaults to `0.5`.
        short_clips: str. What becomes of a clip that the file ends before:
            `"repeat"` starts over from `start`, as the original data pipeline does,
            `"pad"` appends black frames and silence, `"error"` raises. Defaults to
            `"repeat"`.

    Returns:
        Tuple of the frames, see `decode_frames`, and of the waveform, see
        `decode_waveform`; the latter is `None` if the file has no audio.

    Raises:
        MediaError: If the file has no video, is damaged, ends before `start`, or is
            too short and `short_clips` is `"error"`.

    Example:
    ```python
    from keras_vatt.data import ClipSpec, decode_clip, make_demo_corpus

    corpus = make_demo_corpus("demo", train_clips=2, test_clips=2, progress=False)
    spec = ClipSpec(num_frames=8, frame_size=64)
    frames, waveform = decode_clip(corpus / "train" / "000000.mp4", 1.0, spec)
    ```
    """
    check_short_clips(short_clips)
    with open_media(source) as media:
        stretch = (media, start, media.info().end, spec)
        frames = decode_extent_frames(*stretch, (crop_position,), short_clips)[0]
        try:
            return frames, decode_extent_waveform(*stretch, short_clips)
        except MediaError as error:
            if error.problem is Problem.NO_AUDIO:
                return frames, None
            raise


class ClipSource:
    """The clips of a corpus, decoded when they are asked for.

    There is one clip for each segment. A segment longer than a clip is cut: in
    training at a random place, else in its middle. A shorter one is widened around
    its center, within the file. A file shorter than a clip is repeated from its
    beginning, or as `short_clips` says. Segments of missing or unreadable files are
    left out. `report` names them all.

    An element is a dict of NumPy arrays:

    | key | dtype | shape |
    |---|---|---|
    | `video` | uint8 | `(num_frames, frame_size, frame_size, 3)` |
    | `audio` | float32, in `[-1, 1]` | `(audio_samples, 1)` |
    | `text` | int32, 0 = padding | `(candidates, words)` |
    | `audio_mask`, `text_mask` | float32, 1 = present | `()` |

    Where a file has no sound or only silence, `audio` and `audio_mask` are zero.
    Without a caption, or with one of which no word is left by `tokenize`, `text` and
    `text_mask` are zero.

    Args:
        segments: List of `Segment`. All segments of a file together: neighboring
            captions are taken from the list.
        spec: `ClipSpec`.
        tokenize: Callable from a list of n strings to an integer array of shape
            `(n, words)`.
        candidates: int, captions for each clip, see `nearest_captions`. Defaults to
            `5`, as in pre-training of VATT; retrieval is measured with `1`.
        training: bool, whether clips are cut at random: in time, and in space along
            the longer side of the picture. Defaults to `False`.
        seed: int, for training: the seed, the epoch and the index of a clip determine
            how it is cut. Defaults to `0`.
        findings: Findings of `read_corpus`, to be included in the report. Defaults to
            `()`.
        threads: int, files that are opened at the same time to read their headers.
            `None` stands for the number of processors. Defaults to `None`.
        short_clips: str, what is done with a file that is shorter than a clip:
            `"repeat"` starts over from its beginning, `"pad"` appends black frames and
            silence, `"error"` leaves it out. Defaults to `"repeat"`.
        on_error: str. `"skip"` leaves out what can't be used, and reports it; with
            `"raise"` it is an error: here, if the headers of a file tell, otherwise
            when the clip is decoded. Defaults to `"skip"`.

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
        segments,
        spec,
        tokenize,
        candidates=5,
        training=False,
        seed=0,
        findings=(),
        threads=None,
        short_clips="repeat",
        on_error="skip",
    ):
        if candidates < 1:
            raise ValueError(f"`candidates` must be positive. Received: {candidates}")
        check_short_clips(short_clips)
        check_on_error(on_error)
        self.spec = spec
        self.tokenize = tokenize
        self.candidates = candidates
        self.training = training
        self.seed = seed
        self.short_clips = short_clips
        self.on_error = on_error
        self.segments = []
        self._starts = []
        self._positions = []
        self._findings = list(findings)
        self._found_later = {}
        paths = list(dict.fromkeys(segment.path for segment in segments))
        infos = dict(zip(paths, _probe_all(paths, threads), strict=True))
        of_file = collections.defaultdict(list)
        for segment in segments:
            self._add(segment, infos[segment.path], len(of_file[segment.path]))
            of_file[segment.path].append(segment)
        self._caption_orders = {
            path: CaptionOrder(neighbors) for path, neighbors in of_file.items()
        }
        self._findings += find_wordless_captions(self.segments, tokenize)

    def __len__(self):
        return len(self.segments)

    def __getitem__(self, index):
        return self.clip(index)

    def clip(self, index, epoch=0):
        """Return one element.

        Args:
            index: int, the number of the clip.
            epoch: int, in training the pass over the corpus. Defaults to `0`.

        Returns:
            A dict of NumPy arrays.

        Raises:
            MediaError: If the clip can't be decoded. It is then also in `report`.
        """
        decoded = self.decode(index, epoch)
        return make_element(decoded, self.spec, self.tokenize, self.candidates)

    def decode(self, index, epoch=0):
        """Decode one clip without tokenizing it.

        Args:
            index: int, the number of the clip.
            epoch: int, in training the pass over the corpus. Defaults to `0`.

        Returns:
            A `Clip`.

        Raises:
            MediaError: If the clip can't be decoded. It is then also in `report`.
        """
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

    def captions(self, index):
        """Return the caption candidates of a clip, see `nearest_captions`."""
        order = self._caption_orders[self.segments[index].path]
        return order.nearest(self._positions[index], self.candidates)

    @property
    def report(self):
        """The `CorpusReport` so far; decoding may still add to it."""
        later = self._found_later.copy()
        lost = {index for index, problem in later if problem.consequence == "skipped"}
        return CorpusReport(len(self) - len(lost), (*self._findings, *later.values()))

    @property
    def num_found_later(self):
        """Number of problems found while decoding, an int."""
        return len(self._found_later)

    def recall(self, findings):
        """Takes up what an earlier process found while decoding the same clips.

        Args:
            findings: iterable of `Finding`, such as those of a report that an
                interrupted run has saved. Those of other segments are left out.

        Raises:
            MediaError: If a clip was left out and `on_error` is `"raise"`.
        """
        known = {(finding.problem, finding.where) for finding in self._findings}
        indices = collections.defaultdict(list)
        for index, segment in enumerate(self.segments):
            indices[str(segment)].append(index)
        for finding in findings:
            if (finding.problem, finding.where) in known:
                continue
            finding = dataclasses.replace(finding, split=None)
            for index in indices.get(finding.where, ()):
                self._found_later.setdefault((index, finding.problem), finding)
                self._raise_if_wanted(finding)

    def _raise_if_wanted(self, finding):
        is_left_out = finding.problem.consequence == "skipped"
        if is_left_out and self.on_error == "raise":
            raise MediaError(finding.where, finding.problem, finding.reason)

    def _add(self, segment, info, position):
        try:
            starts = _possible_starts(segment, info, self.spec, self.short_clips)
        except MediaError as error:
            finding = Finding(error.problem, str(segment), error.reason)
            self._raise_if_wanted(finding)
            self._findings.append(finding)
            return
        self.segments.append(segment)
        self._starts.append(starts)
        self._positions.append(position)
        if _is_short(info, self.spec):
            reason = filled_reason(_length_of(info, self.spec), self.short_clips)
            self._findings.append(Finding(Problem.SHORT, str(segment), reason))
        if not info.has_audio:
            reason = "has no sound that can be decoded"
            self._findings.append(Finding(Problem.NO_AUDIO, str(segment), reason))
        if not segment.caption:
            reason = "has no caption"
            self._findings.append(Finding(Problem.NO_CAPTION, str(segment), reason))

    def _cut(self, index, epoch):
        """Return where a clip starts, in seconds, and where its picture is cropped."""
        earliest, latest = self._starts[index]
        if not self.training:
            return (earliest + latest) / 2, 0.5
        generator = np.random.default_rng((self.seed, epoch, index))
        return generator.uniform(earliest, latest), generator.uniform()

    def _found(self, index, problem, reason):
        if (index, problem) in self._found_later:
            return
        finding = Finding(problem, str(self.segments[index]), reason)
        self._found_later[index, problem] = finding
        where = printable_line(f"{finding.where} {reason}")
        _LOGGER.warning("%s: %s", problem.consequence, where)


def make_element(clip, spec, tokenize, candidates):
    """Make the dict of arrays that a model takes from a decoded clip.

    Args:
        clip: `Clip`.
        spec: `ClipSpec` of the clip.
        tokenize: Callable from a list of n strings to an integer array of shape
            `(n, words)`, in which 0 is padding.
        candidates: int, rows of `text`.

    Returns:
        The dict of NumPy arrays that `ClipSource` describes.

    Raises:
        ValueError: If `tokenize` returns another shape.
    """
    waveform = clip.waveform
    has_audio = waveform is not None
    if not has_audio:
        waveform = np.zeros(spec.audio_samples, np.float32)
    text = _tokens(clip.captions or [""] * candidates, tokenize)
    has_text = bool(clip.captions) and bool(text[0].any())
    return {
        "video": clip.frames,
        "audio": waveform[:, np.newaxis],
        "text": text if has_text else np.zeros_like(text),
        "audio_mask": np.asarray(has_audio, np.float32),
        "text_mask": np.asarray(has_text, np.float32),
    }


def find_wordless_captions(segments, tokenize):
    """Find captions of which `tokenize` leaves no word: their text is masked.

    Args:
        segments: List of `Segment`.
        tokenize: Callable from a list of n strings to an integer array of shape
            `(n, words)`, in which 0 is padding.

    Returns:
        List of `keras_vatt.data.Finding`.

    Raises:
        ValueError: If `tokenize` returns another shape.
    """
    captioned = [segment for segment in segments if segment.caption]
    if not captioned:
        return []
    tokens = _tokens([segment.caption for segment in captioned], tokenize)
    reason = "has a caption without words for the tokenizer"
    return [
        Finding(Problem.NO_CAPTION, str(segment), reason)
        for segment, words in zip(captioned, tokens, strict=True)
        if not words.any()
    ]


def _tokens(texts, tokenize):
    tokens = np.asarray(tokenize(texts), np.int32)
    if tokens.ndim != 2 or len(tokens) != len(texts):
        raise ValueError(
            "`tokenize` must return an array of shape (texts, words). Received shape "
            f"{tokens.shape} for {len(texts)} texts."
        )
    return tokens


def _probe_all(paths, threads):
    """Return the `MediaInfo` of each file, or the `MediaError` that it gave."""
    with concurrent.futures.ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        return list(pool.map(_probe, paths))


def _probe(path):
    try:
        with any_error_of(path):
            return probe(path)
    except MediaError as error:
        return error


def _possible_starts(segment, info, spec, short_clips):
    """Returns the earliest and the latest time at which the clip may start."""
    if isinstance(info, MediaError):
        raise info
    if not info.has_video:
        reason = "has no video that can be decoded"
        raise MediaError(segment.path, Problem.NO_VIDEO, reason)
    is_short = _is_short(info, spec)
    if is_short and short_clips == "error":
        reason = _length_of(info, spec)
        raise MediaError(segment.path, Problem.TOO_SHORT, reason)
    start = max(segment.start or 0.0, info.start)
    end = info.end if segment.end is None else min(segment.end, info.end)
    is_whole_file = segment.start is None and segment.end is None
    if start >= end and not is_whole_file:
        reason = f"lies outside the file, which ends at {info.end:.2f} s"
        raise MediaError(segment.path, Problem.TOO_SHORT, reason)
    if is_short:
        return info.start, info.start
    if end - start >= spec.duration:
        return start, end - spec.duration
    centered = (start + end - spec.duration) / 2
    latest = max(info.start, info.end - spec.duration)
    widened = min(max(centered, info.start), latest)
    return widened, widened


def _is_short(info, spec):
    # Decoding repeats the last frame for up to one period.
    return info.duration + TIME_TOLERANCE < spec.duration - spec.frame_period


def _length_of(info, spec):
    return f"lasts {info.duration:.2f} s, a clip {spec.duration:.2f} s"
