"""Train clips and held-out clips of a run, from all of its data."""

from __future__ import annotations

import dataclasses
import itertools
import math
import os
import pathlib
from collections.abc import Iterator

from keras_vatt._remote_files import is_remote
from keras_vatt.data import (
    CachedClips,
    ClipSource,
    MixedClips,
    StoredClips,
    build_cache,
    make_demo_corpus,
    read_corpus,
)
from keras_vatt.data._report import Finding, first_reasons
from keras_vatt.data._splits import divide
from keras_vatt.data.shards._find import is_pattern
from keras_vatt.data.shards._jobs import RecordSource
from keras_vatt.data.shards._records import hold_out, open_if_records
from keras_vatt.pretraining._devices import process_place
from keras_vatt.pretraining._errors import PretrainingError

# Captions that are read for a vocabulary where they are not apart from the clips.
_CAPTIONS_READ = 20_000


@dataclasses.dataclass(frozen=True)
class SegmentData:
    """Segments of media files.

    Args:
        train: list of `Segment`.
        test: list of `Segment`.
        findings: list of `Finding`.
    """

    train: list
    test: list
    findings: list[Finding]

    def captions(self) -> Iterator[str]:
        """Yields the captions of the train segments."""
        return (segment.caption for segment in self.train if segment.caption)

    def open(self, split, settings, spec, tokenizer, folder):
        """Opens the clips of a split, see `RunData.open`."""
        source = ClipSource(
            getattr(self, split),
            spec,
            tokenizer,
            training=split == "train" and not settings.cache,
            num_workers=settings.num_workers,
            **_common(settings, split),
        )
        if not settings.cache or not len(source):
            return source
        build_cache(source, folder, num_workers=settings.num_workers)
        return CachedClips(folder, source.tokenize)


@dataclasses.dataclass(frozen=True)
class RecordData:
    """Stored clips: shards, or a dataset of the Hub. They are not cached.

    Args:
        train: `RecordSource`.
        test: `RecordSource`.
        findings: list of `Finding`.
    """

    train: RecordSource
    test: RecordSource
    findings: list[Finding]

    def captions(self) -> Iterator[str]:
        """Yields captions of the train clips, all if they are apart from the clips."""
        return filter(None, self.train.captions(_CAPTIONS_READ))

    def open(self, split, settings, spec, tokenizer, folder):
        """Opens the clips of a split, see `RunData.open`."""
        del folder
        return StoredClips(
            getattr(self, split),
            spec,
            tokenizer,
            training=split == "train",
            **_common(settings, split),
        )


@dataclasses.dataclass(frozen=True)
class RunData:
    """The data of a run.

    Args:
        parts: tuple of `SegmentData` and `RecordData`, one for each `--data`.
        weights: tuple of floats. Proportions of the parts in training.
    """

    parts: tuple[SegmentData | RecordData, ...]
    weights: tuple[float, ...]

    @property
    def findings(self) -> list[Finding]:
        """The problems found so far."""
        return [finding for part in self.parts for finding in part.findings]

    def captions(self) -> Iterator[str]:
        """Yields captions of the train clips."""
        return itertools.chain.from_iterable(part.captions() for part in self.parts)

    def open(self, split, settings, spec, tokenizer, folder):
        """Opens the clips of a split.

        Train clips have `settings.candidates` captions, test clips their own.

        Args:
            split: `"train"` or `"test"`.
            settings: `PretrainSettings`.
            spec: `ClipSpec`.
            tokenizer: callable from strings to token ids.
            folder: path of the cache of decoded clips.

        Returns:
            Source of clips, see `keras_vatt.data.make_dataset`.
        """
        folders = [folder]
        if len(self.parts) > 1:
            folders = [folder / str(number) for number in range(len(self.parts))]
        opened = [
            part.open(split, settings, spec, tokenizer, place)
            for part, place in zip(self.parts, folders, strict=True)
        ]
        if len(opened) == 1:
            return opened[0]
        weighted = [
            (clips, weight)
            for clips, weight in zip(opened, self.weights, strict=True)
            if len(clips)
        ]
        if not weighted:
            return opened[0]
        return MixedClips(*zip(*weighted, strict=True))


def read_data(settings, output):
    """Reads the data of a run and divides each part of it into train and test.

    Args:
        settings: `PretrainSettings`.
        output: path of the run's folder, in which the demo corpus is made.

    Returns:
        `RunData`.

    Raises:
        PretrainingError: if a source has no clip to train on, or a file of it can't be
            used and `settings.on_error` is `"raise"`.
    """
    sources = data_sources(settings.data)
    parts = tuple(_read(source, settings, output) for source, _ in sources)
    data = RunData(parts, tuple(weight for _, weight in sources))
    left_out = [f for f in data.findings if f.problem.consequence == "skipped"]
    if left_out and settings.on_error == "raise":
        raise PretrainingError(
            f"{left_out[0].where}: {left_out[0].reason} (the first of "
            f"{len(left_out)} problems; use --on-error skip to skip such files)"
        )
    for (source, _), part in zip(sources, parts, strict=True):
        if not len(part.train):
            reasons = first_reasons(part.findings)
            raise PretrainingError(
                f"there is nothing to train on in {str(source)!r}. {reasons}".strip()
            )
    return data


def data_sources(data):
    """Divides the values of `--data` into sources and weights.

    Args:
        data: string or tuple of strings, such as `"videos:0.7"`. A weight defaults to
            1.

    Returns:
        List of tuples of a string and a float.

    Raises:
        PretrainingError: if a weight is not positive.
    """
    values = [data] if isinstance(data, str | os.PathLike) else data
    return [_source_and_weight(os.fspath(value)) for value in values]


def is_there(source):
    """Returns whether a source may exist: local ones do, others are not looked for."""
    if source == "demo" or is_remote(source) or pathlib.Path(source).exists():
        return True
    return is_pattern(source)


def _source_and_weight(value):
    source, colon, weight = value.rpartition(":")
    if not colon or not source or pathlib.Path(value).exists():
        return value, 1.0
    try:
        weight = float(weight)
    except ValueError:
        return value, 1.0
    if not 0 < weight < math.inf:
        raise PretrainingError(f"--data {value}: the weight must be positive")
    return source, weight


def _read(source, settings, output):
    if source == "demo":
        source = _make_demo_corpus(settings, output)
    else:
        rates = settings.stored_frames_per_second, settings.stored_sampling_rate
        opened = open_if_records(source, *rates)
        if opened is not None:
            return _record_data(*opened, settings)
    segments, findings = read_corpus(
        source, settings.allow_outside, settings.caption_language
    )
    return SegmentData(
        *divide(segments, settings.test_fraction, settings.seed), findings
    )


def _record_data(splits, findings, settings):
    if "test" not in splits:
        splits = hold_out(splits["train"], settings.test_fraction)
    return RecordData(splits.get("train", ()), splits["test"], findings)


def _make_demo_corpus(settings, output):
    if process_place()[1] > 1:
        raise PretrainingError(
            "several processes can't make the demo corpus: make it with "
            "`keras_vatt.data.make_demo_corpus`, and give its folder as --data"
        )
    return make_demo_corpus(
        output / "corpus",
        train_clips=settings.demo_clips,
        seed=settings.seed,
        misaligned_audio=settings.misaligned_audio,
        misaligned_text=settings.misaligned_text,
        num_workers=settings.num_workers,
    )


def _common(settings, split):
    return {
        "candidates": settings.candidates if split == "train" else 1,
        "seed": settings.seed,
        "short_clips": settings.short_clips,
        "on_error": settings.on_error,
    }
