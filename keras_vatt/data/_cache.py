"""A cache of decoded clips on disk, for corpora that are read many times."""

import dataclasses
import functools
import hashlib
import json
import os
import pathlib

import tqdm

from keras_vatt._errors import KerasVATTError
from keras_vatt._file_stamps import file_stamp
from keras_vatt._files import scratch_folder, write_json
from keras_vatt._os_errors import os_errors_at
from keras_vatt.data._clip import Clip
from keras_vatt.data._clip_elements import (
    Element,
    Tokenize,
    find_wordless_captions,
    make_element,
)
from keras_vatt.data._clip_records import ClipRecords, checksum, pack
from keras_vatt.data._clip_source import ClipSource
from keras_vatt.data._clip_spec import ClipSpec
from keras_vatt.data._manifest import Segment
from keras_vatt.data._report import CorpusReport
from keras_vatt.data.decoding._decode_ahead import decode_ahead
from keras_vatt.data.decoding._file_errors import MediaError

_RECORDS = "clips.bin"
_INDEX = "cache.json"
# Incremented if the layout of the records or of the index changes, or decoding does.
_FORMAT_VERSION = 4
# Records of the versions before 3.
_OLD_RECORDS = "clips.array_record"
# Exceptions of code that reads a damaged index.
_INDEX_ERRORS = (ValueError, LookupError, TypeError, AttributeError, RecursionError)


class CacheError(KerasVATTError, ValueError):
    """A damaged cache of decoded clips, which must be deleted and built again.

    Args:
        path: str or path of the damaged file.
        reason: str or exception.
    """

    def __init__(self, path: str | os.PathLike[str], reason: str | Exception) -> None:
        path = pathlib.Path(path)
        super().__init__(
            f"The cache of decoded clips {str(path)!r} is damaged ({reason}): delete "
            f"the folder {str(path.parent)!r}. It is built again."
        )


def find_cache_error(error: BaseException) -> str | None:
    """Returns the message of the `CacheError` that made a training loop fail.

    TensorFlow's pipelines raise their own errors, which quote the original one.

    Args:
        error: Exception.

    Returns:
        A string, the message of a `CacheError`; `None` for other errors.
    """
    if isinstance(error, CacheError):
        return str(error)
    for line in str(error).splitlines():
        _, found, quoted = line.partition("CacheError: ")
        message, end, _ = quoted.rpartition("is built again.")
        if found and end:
            return message + end
    return None


def build_cache(
    source: ClipSource,
    folder: str | os.PathLike[str],
    num_workers: int | None = None,
    progress: bool = True,
) -> CorpusReport:
    """Decodes every clip of a source once and stores it in a folder.

    Reading a stored clip takes a small fraction of the time of decoding it. Clips are
    cut from the middle of their segments: training from a cache has no jitter in time
    or in space. Waveforms are stored with 16 bits; that rounding is the only difference
    to decoding.

    Clips are not compressed: the clip of a default `ClipSpec` takes 5.1 MB on disk. The
    file is mapped into memory when it is read, so that the operating system keeps the
    clips that fit; each clip is compared with its checksum.

    A folder that already has a cache of the same clips (the same specification,
    segments, sizes and modification times of the files) is used unchanged. A cache of
    an earlier version, or whose files are truncated or missing, is built again. A build
    that is interrupted leaves no cache; if it is killed, the next build removes its
    folder `.partial-*`.

    Args:
        source: `ClipSource` with `training=False`.
        folder: str or path of a folder for this cache alone; created if it is missing.
        num_workers: int, number of clips that are decoded in parallel, in threads:
            decoding releases the global interpreter lock. Defaults to `None`, the
            number of processors.
        progress: bool, whether to show a progress bar. Defaults to `True`.

    Returns:
        The `CorpusReport` of the build: clips that can't be decoded are skipped.

    Raises:
        MediaError: If a clip can't be decoded and `source.on_error` is `"raise"`.
        ValueError: If `source` cuts clips at random.
        OSError: If the cache can't be written, for example on a full disk.

    Example: see `CachedClips`.
    """
    if source.training:
        raise ValueError("A cache needs a `ClipSource` with `training=False`.")
    folder = pathlib.Path(folder)
    fingerprint = _fingerprint(source)
    index = _index_of_intact_cache(folder, fingerprint)
    if index is not None:
        return _updated_report(index, source, folder)
    folder.mkdir(parents=True, exist_ok=True)
    with scratch_folder(folder, ".partial-", (_RECORDS, _INDEX)) as partial:
        with os_errors_at(folder / _RECORDS):
            clips = _write_records(source, partial / _RECORDS, num_workers, progress)
        index = {
            "format_version": _FORMAT_VERSION,
            "fingerprint": fingerprint,
            "spec": source.spec.get_config(),
            "candidates": source.candidates,
            "report": source.report.to_dict(),
            "clips": clips,
        }
        # The index is deleted first and written last: without it there is no cache.
        (folder / _INDEX).unlink(missing_ok=True)
        (folder / _OLD_RECORDS).unlink(missing_ok=True)
        os.replace(partial / _RECORDS, folder / _RECORDS)
        write_json(folder / _INDEX, index, indent=None)
    return source.report


class CachedClips:
    """The clips of a cache, with the same elements as a `ClipSource`.

    Args:
        folder: str or path of a folder that `build_cache` wrote.
        tokenize: Callable from a list of n strings to an integer array of shape
            `(n, words)`.
        candidates: int, captions for each clip, at most as many as the cache was
            built with. Defaults to `None`, for as many.

    Raises:
        FileNotFoundError: If the folder has no complete cache.
        CacheError: If the cache is damaged. Damaged records raise it when they are
            read. It is a `ValueError`.
        ValueError: If the cache has fewer `candidates`.

    Example:
    ```python
    import numpy as np
    from keras_vatt.data import (
        CachedClips, ClipSource, ClipSpec, build_cache, make_demo_corpus, read_corpus
    )

    def tokenize(texts):
        return np.ones((len(texts), 16), np.int32)

    corpus = make_demo_corpus("demo", train_clips=2, test_clips=2, progress=False)
    segments, _ = read_corpus(corpus)
    source = ClipSource(segments, ClipSpec(num_frames=8, frame_size=64), tokenize)
    print(build_cache(source, "cache", progress=False))
    CachedClips("cache", tokenize)[0]["video"].shape  # (8, 64, 64, 3)
    ```
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        tokenize: Tokenize,
        candidates: int | None = None,
    ) -> None:
        folder = pathlib.Path(folder)
        index = _read_index(folder)
        if index is None:
            raise FileNotFoundError(
                f"There is no complete cache of this version in {str(folder)!r}. Build "
                "one with `build_cache`."
            )
        self.tokenize = tokenize
        try:
            self.spec = ClipSpec.from_config(index["spec"])
            available = int(index["candidates"])
            self._clips = [_checked_clip(clip) for clip in index["clips"]]
            self.segments = [Segment(**clip["segment"]) for clip in self._clips]
            built = CorpusReport.from_dict(index["report"])
        except _INDEX_ERRORS as error:
            raise CacheError(folder / _INDEX, error) from error
        self.candidates = available if candidates is None else candidates
        if not 1 <= self.candidates <= available:
            raise ValueError(
                f"The cache has {available} candidates for each clip. "
                f"Received: candidates={candidates}"
            )
        wordless = find_wordless_captions(self.segments, tokenize)
        # The build may have found the same captions, with its tokenizer.
        findings = tuple(dict.fromkeys((*built.findings, *wordless)))
        self.report = dataclasses.replace(built, findings=findings)
        self._path = folder / _RECORDS
        self._records = _open_records(self._path, self.spec, self._clips)

    def __len__(self) -> int:
        return len(self._clips)

    def __getitem__(self, index: int) -> Element:
        return self.clip(index)

    def clip(self, index: int, epoch: int = 0) -> Element:
        """Returns one element, see `ClipSource`.

        Args:
            index: int. Index of the clip.
            epoch: int. Not used: a cached clip is the same in every epoch. Defaults to
                `0`.

        Returns:
            A dict of NumPy arrays.
        """
        decoded = self.decode(index)
        return make_element(decoded, self.spec, self.tokenize, self.candidates)

    def decode(self, index: int) -> Clip:
        """Reads one clip without tokenizing it.

        Args:
            index: int. Index of the clip.

        Returns:
            A `keras_vatt.data.Clip`.

        Raises:
            CacheError: If its record is damaged.
        """
        stored = self._clips[index]
        captions = stored["captions"][: self.candidates]
        try:
            frames, waveform = self._records.read(index)
        except ValueError as error:
            raise CacheError(self._path, error) from error
        return Clip(frames, waveform if stored["has_audio"] else None, captions)


def _read_index(folder):
    """Returns the index of a cache, or `None` if there is none of this version."""
    path = folder / _INDEX
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
        return index if index["format_version"] == _FORMAT_VERSION else None
    except FileNotFoundError:
        return None
    except _INDEX_ERRORS as error:
        raise CacheError(path, error) from error


def _index_of_intact_cache(folder, fingerprint):
    """Returns the index of a cache of the same clips, or `None` if it must be built."""
    try:
        index = _read_index(folder)
        if index is None or index["fingerprint"] != fingerprint:
            return None
        spec = ClipSpec.from_config(index["spec"])
        _open_records(folder / _RECORDS, spec, index["clips"])
        CorpusReport.from_dict(index["report"])
        return index
    except _INDEX_ERRORS:  # A `CacheError` is one.
        return None


def _updated_report(index, source, folder):
    """Returns the report of a cache, updated with the files that are skipped now.

    Skipped files are not a part of the cache, so they may have changed since then.
    """
    source.recall(CorpusReport.from_dict(index["report"]).findings)
    report = source.report.to_dict()
    if report != index["report"]:
        write_json(folder / _INDEX, index | {"report": report}, indent=None)
    return source.report


def _open_records(path, spec, clips):
    try:
        return ClipRecords(path, spec, [clip["checksum"] for clip in clips])
    except (OSError, ValueError) as error:
        raise CacheError(path, error) from error


def _checked_clip(stored):
    kinds = {"captions": list, "has_audio": bool, "checksum": int}
    if not all(isinstance(stored[key], kind) for key, kind in kinds.items()):
        raise TypeError(f"{stored!r} is not a clip")
    return stored


def _fingerprint(source):
    """Returns a digest of everything that the content of a cache depends on."""
    clips = []
    for index, segment in enumerate(source.segments):
        row = dataclasses.asdict(segment)
        # Decoding reports the error of a missing file.
        stamp = file_stamp(segment.path) or (0, 0)
        clips.append([row, *stamp, source.captions(index)])
    config = source.spec.get_config()
    content = [_FORMAT_VERSION, config, source.candidates, source.short_clips, clips]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _write_records(source, path, num_workers, progress):
    """Writes the records; returns the entry of each clip in the index."""
    stored = []
    with path.open("wb") as file:
        decoded = _decode_all(source, num_workers)
        bar = tqdm.tqdm(decoded, "caching clips", len(source), disable=not progress)
        for segment, clip in bar:
            if clip is None:
                continue
            record = pack(clip, source.spec)
            file.write(record)
            entry = {"segment": dataclasses.asdict(segment), "captions": clip.captions}
            entry["has_audio"] = clip.waveform is not None
            stored.append(entry | {"checksum": checksum(record)})
    return stored


def _decode_all(source, num_workers):
    """Yields each segment with its clip, or with `None` if that can't be decoded."""
    decode = functools.partial(_try_to_decode, source)
    for index, clip in decode_ahead(range(len(source)), decode, num_workers):
        yield source.segments[index], clip.result()


def _try_to_decode(source, index):
    try:
        return source.decode(index)
    except MediaError:  # The source has added it to its report.
        if source.on_error == "raise":
            raise
        return None
