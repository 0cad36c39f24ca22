"""Damaged, truncated and missing shards are named and counted, and never hang."""

import itertools
import json
import shutil

import numpy as np
import pytest

from keras_vatt.data import (
    ClipSpec,
    MediaError,
    Problem,
    ShardError,
    StoredClips,
    make_dataset,
    open_records,
)
from tests.data._corpus import tokenize
from tests.data.shards.conftest import FORMATS

pytestmark = pytest.mark.once

SPEC = ClipSpec(num_frames=4, frame_size=16, sampling_rate=8_000)


@pytest.fixture(params=FORMATS)
def folder(request, prepared, tmp_path):
    """A copy of the prepared dataset: 7 train clips in shards of 1, 3 and 3."""
    shutil.copytree(prepared(request.param), tmp_path / "data")
    return tmp_path / "data"


def shard(folder, number=1):
    return next(
        path for path in folder.glob(f"train-{number:05d}-*") if path.suffix != ".json"
    )


def train_clips(source, **options):
    splits, findings = open_records(source)
    return StoredClips(splits["train"], SPEC, tokenize, findings=findings, **options)


def readable(clips):
    found = []
    for index in range(len(clips)):
        try:
            clips.clip(index)
        except MediaError:
            continue
        found.append(index)
    return found


def test_a_missing_shard_keeps_the_numbers_of_other_clips(folder):
    shard(folder).unlink()
    clips = train_clips(folder)
    assert len(clips) == 7
    (finding,) = clips.report.findings
    assert (finding.problem, finding.where) == (
        Problem.MISSING,
        str(shard_path(folder)),
    )
    assert finding.reason == "is missing, with its 3 clips"
    assert readable(clips) == [0, 4, 5, 6]
    assert clips.report.used == 4


def shard_path(folder):
    suffix = {"a": ".arrayrecord", "t": ".tfrecord", "w": ".tar"}
    names = {path.suffix for path in folder.iterdir()} & set(suffix.values())
    return folder / f"train-00001-of-00003{names.pop()}"


def test_a_truncated_shard_is_reported_and_only_its_lost_clips_are_skipped(folder):
    path = shard(folder)
    path.write_bytes(path.read_bytes()[: -path.stat().st_size // 3])
    clips = train_clips(folder)
    (finding,) = clips.report.findings
    assert finding.problem is Problem.CORRUPT
    assert "bytes instead of" in finding.reason
    lost = set(range(7)) - set(readable(clips))
    is_whole = "train-00001-of-00003.arrayrecord" in str(path)
    assert lost == ({1, 2, 3} if is_whole else {3})
    assert clips.report.used == 7 - len(lost)
    assert any(str(path) in found.where for found in clips.report.findings[1:])


def test_a_changed_byte_is_found_by_the_checksum(folder):
    path = shard(folder)
    data = bytearray(path.read_bytes())
    data[data.find(b"\xff\xd8") + 600] ^= 1
    path.write_bytes(data)
    clips = train_clips(folder)
    assert len(set(range(7)) - set(readable(clips))) == 1
    (finding,) = clips.report.findings
    assert finding.problem is Problem.CORRUPT
    assert str(path) in finding.where


def test_training_continues_without_a_shard_that_vanishes(folder):
    clips = train_clips(folder, training=True)
    shard(folder, 2).unlink()
    found = list(itertools.islice(make_dataset(clips, 3, training=True), 8))
    assert all(batch["video"].shape == (3, *SPEC.video_shape) for batch in found)
    assert clips.report.used == 4
    (finding,) = clips.report.findings  # For the file, not for each clip.
    assert (finding.problem, finding.where) == (
        Problem.MISSING,
        str(shard_path(folder)).replace("00001", "00002"),
    )


def test_the_order_of_other_clips_is_the_same_without_a_shard(folder):
    def texts(clips):
        batches = itertools.islice(make_dataset(clips, 2, True, num_workers=1), 9)
        return np.concatenate([batch["text"] for batch in batches])

    whole = texts(train_clips(folder, training=True))
    lost = texts(StoredClips(open_records(folder).splits["train"], SPEC, tokenize))
    shard(folder).unlink()
    partly = texts(train_clips(folder, training=True))
    np.testing.assert_array_equal(whole, lost)
    same = (whole == partly).reshape(len(whole), -1).all(axis=1)
    assert same.sum() >= 18 * 3 // 7


def test_a_problem_ends_the_run_if_wanted(folder):
    shard(folder).unlink()
    with pytest.raises(MediaError, match="is missing, with its 3 clips"):
        train_clips(folder, on_error="raise")


@pytest.mark.parametrize("change", ["cut", "values", "other"])
def test_a_damaged_index_loses_one_shard_with_a_reason(change, prepared, tmp_path):
    shutil.copytree(prepared("webdataset"), tmp_path / "data")
    index = next((tmp_path / "data").glob("train-00001-*.index.json"))
    text = index.read_text()
    index.write_text(
        {"cut": text[:50], "values": '{"offsets": ["x"]}', "other": "[]"}[change]
    )
    clips = train_clips(tmp_path / "data")
    assert readable(clips) == [0, 4, 5, 6]
    assert index.name in clips.report.findings[0].reason


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"version": 1', '"version": 9', "version 9"),
        ("train-00000", "../../train-00000", "is not the name of a file in its folder"),
        ('"records": 2', '"records": -2', "is not a shard"),
        ('"format": "tfrecord"', '"format": "zip"', "unknown format 'zip'"),
        ('"splits"', '"parts"', "is damaged"),
    ],
)
def test_a_damaged_or_hostile_table_is_refused(old, new, message, prepared, tmp_path):
    shutil.copytree(prepared("tfrecord"), tmp_path / "data")
    table = tmp_path / "data" / "dataset.json"
    assert old in table.read_text()
    table.write_text(table.read_text().replace(old, new))
    with pytest.raises(ShardError, match=message):
        open_records(tmp_path / "data")


@pytest.fixture(params=["tfrecord", "webdataset"])
def foreign(request, prepared, tmp_path):
    """Shards without table and indexes, as other tools write them."""
    suffix = {"tfrecord": "tfrecord", "webdataset": "tar"}[request.param]
    for path in prepared(request.param).glob(f"*.{suffix}"):
        shutil.copy(path, tmp_path)
    return tmp_path


def test_shards_of_other_tools_are_counted(foreign):
    splits, findings = open_records(foreign)
    assert {name: len(split) for name, split in splits.items()} == {
        "train": 7,
        "test": 2,
    }
    assert not findings
    assert len(list(splits["train"].captions(limit=3))) in (2, 3)


@pytest.mark.parametrize("kind", ["tfrecord", "webdataset"])
def test_a_truncated_shard_of_another_tool_gives_its_first_clips(
    kind, prepared, tmp_path
):
    source = shard(prepared(kind), 2)
    index = json.loads((prepared(kind) / f"{source.name}.index.json").read_text())
    data = source.read_bytes()
    ends = [*index["offsets"][1:], len(data)][:3]
    path = tmp_path / f"part{source.suffix}"
    path.write_bytes(data[: ends[1] + 2000])
    splits, (finding,) = open_records(tmp_path)
    assert len(splits["train"]) == 2
    assert (finding.problem, finding.where) == (Problem.CORRUPT, str(path))
    assert "truncated" in finding.reason
    assert readable(train_clips(tmp_path)) == [0, 1]


@pytest.mark.parametrize("suffix", ["tfrecord", "arrayrecord", "tar"])
def test_a_folder_of_files_that_are_no_shards_is_refused(suffix, tmp_path):
    (tmp_path / f"x.{suffix}").write_bytes(b"noise" * 1000)
    with pytest.raises(ShardError, match=r"no shard can be read; .*x\."):
        open_records(tmp_path)


def test_tables_named_as_in_dmvr_are_recognized(prepared, tmp_path):
    for number in range(3):
        path = next(prepared("tfrecord").glob(f"train-{number:05d}-*.tfrecord"))
        shutil.copy(path, tmp_path / f"howto-{number:05d}-of-00003")
    for source in (tmp_path, tmp_path / "howto@3", tmp_path / "howto-*"):
        assert len(open_records(source).splits["train"]) == 7
    one = open_records(tmp_path / "howto-0000[01]-of-00003").splits["train"]
    assert len(one) == 4


def test_a_pattern_without_files_is_refused(tmp_path):
    with pytest.raises(ShardError, match="there are no shards"):
        open_records(tmp_path / "train-*.tar")
