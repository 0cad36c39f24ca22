"""Stored clips by index: shards, rows of a dataset of the Hub, or a part of these."""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Iterator
from typing import NamedTuple

from keras_vatt.data._report import Finding
from keras_vatt.data.shards._errors import ShardError
from keras_vatt.data.shards._find import find_shards
from keras_vatt.data.shards._hub_rows import is_hub_dataset, open_hub_rows
from keras_vatt.data.shards._jobs import RecordSource
from keras_vatt.data.shards._shards import Rates, Shards
from keras_vatt.data.shards._stored_clip import StoredClip

_MAX_TEST_RECORDS = 1000


class OpenedRecords(NamedTuple):
    """The result of `open_records`.

    Args:
        splits: dict from `"train"` and `"test"` to the stored clips of the split.
        findings: list of `keras_vatt.data.Finding`.
    """

    splits: dict[str, RecordSource]
    findings: list[Finding]


def open_records(
    source: str | os.PathLike[str],
    frames_per_second: float = 10.0,
    sampling_rate: int = 48_000,
) -> OpenedRecords:
    """Opens stored clips: shards, or a dataset of the Hugging Face `datasets` library.

    | source | content |
    |---|---|
    | a folder that `prepare_shards` has written | shards with a table and indexes |
    | another folder of `.tfrecord`, `.arrayrecord` or `.tar` files | shards |
    | `"train-*.tar"`, `"table@100"`, a single shard | shards |
    | a folder of Parquet files or of `save_to_disk` | a dataset of `datasets` |

    All may be local, or in an object store or on the Hub (`gs://`, `s3://`, `hf://`).
    ArrayRecord files of a store are copied to a local cache.

    Records of TFRecord and ArrayRecord files are `SequenceExample`s in the layout of
    DMVR and VATT: frames in `image/encoded`, audio in `WAVEFORM/feature/floats` or
    `waveform/floats`, captions in `caption/string`. Samples of WebDataset files have a
    video, or JPEG images and a WAV file, with captions in a `.txt` or `.json` file.
    Rows of `datasets` have a column of videos, and may have one of audio and one of
    captions.

    Shards whose names begin with `test`, `eval` or `val` are the split `"test"`.

    Args:
        source: str or path.
        frames_per_second: float. Rate of the frames in records that don't tell.
            Defaults to `10.0`, as in HowTo100M; the other datasets of VATT have 25.
        sampling_rate: int. Rate of the waveforms in records that don't tell, in hertz.
            Defaults to `48_000`.

    Returns:
        `OpenedRecords`, a tuple of a dict from split to stored clips, for
        `StoredClips`, and of a list of `Finding`: shards that are missing, truncated or
        damaged.

    Raises:
        ShardError: If there are no shards, the table of a dataset is damaged, or
            `datasets` is not installed.
        keras_vatt.KerasVATTError: If a store can't be reached.

    Example:
    ```python
    from keras_vatt.data import make_demo_corpus, open_records, prepare_shards

    corpus = make_demo_corpus("demo", train_clips=2, test_clips=2, progress=False)
    prepare_shards(corpus, "demo-shards", num_shards=2, progress=False)
    splits, findings = open_records("demo-shards")
    len(splits["train"])  # 2
    splits["train"].read(0).captions[0]
    ```
    """
    opened = open_if_records(source, frames_per_second, sampling_rate)
    if opened is None:
        raise ShardError(f"there are no shards in {os.fspath(source)!r}")
    return opened


def open_if_records(
    source: str | os.PathLike[str],
    frames_per_second: float = 10.0,
    sampling_rate: int = 48_000,
) -> OpenedRecords | None:
    """Opens stored clips as `open_records`; returns `None` if there are none."""
    source = os.fspath(source)
    # First, as tar files of other tools have Parquet files with captions next to them.
    found = find_shards(source)
    if found is None:
        return OpenedRecords(*open_hub_rows(source)) if is_hub_dataset(source) else None
    rates = Rates(frames_per_second, sampling_rate)
    splits = {split: Shards(shards, rates) for split, shards in found.splits.items()}
    return OpenedRecords(splits, found.findings)


@dataclasses.dataclass(frozen=True)
class RecordRange:
    """A part of stored clips.

    Args:
        records: `RecordSource`.
        start: int. Index of the first.
        stop: int. Index after the last.
    """

    records: RecordSource
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    def read(self, index: int) -> StoredClip:
        """Returns a clip, see `RecordSource`."""
        return self.records.read(range(self.start, self.stop)[index])

    def where(self, index: int) -> str:
        """Returns the place of a clip, for messages."""
        return self.records.where(range(self.start, self.stop)[index])

    def captions(self, limit: int | None = None) -> Iterator[str]:
        """Yields the first caption of each clip, or `""`."""
        limit = None if limit is None else self.start + limit
        return itertools.islice(self.records.captions(limit), self.start, self.stop)


def hold_out(records: RecordSource, fraction: float) -> dict[str, RecordRange]:
    """Divides stored clips without a test split into train and test.

    The last clips are held out, as those of one file usually follow one another; at
    most 1,000.

    Args:
        records: `RecordSource`.
        fraction: float. Fraction of the clips that is held out.

    Returns:
        Dict with `"train"` and `"test"`.
    """
    count = min(round(fraction * len(records)), _MAX_TEST_RECORDS)
    end = len(records) - count
    return {
        "train": RecordRange(records, 0, end),
        "test": RecordRange(records, end, len(records)),
    }
