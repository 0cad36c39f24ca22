"""Shards in object stores and on the Hub are written and read through real clients."""

import shutil

import numpy as np
import pytest

from keras_vatt import _remote_files
from keras_vatt.data import (
    ClipSpec,
    MediaError,
    Problem,
    StoredClips,
    open_records,
    prepare_shards,
    verify_shards,
)
from tests.data._corpus import tokenize
from tests.data.shards.conftest import FORM, FORMATS, prepare_videos

pytestmark = pytest.mark.once

SPEC = ClipSpec(num_frames=4, frame_size=16, sampling_rate=8_000)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_VATT_CACHE", str(tmp_path / "cache"))


def train_clips(source, **options):
    splits, findings = open_records(source)
    return StoredClips(splits["train"], SPEC, tokenize, findings=findings, **options)


def assert_same(clips, expected):
    assert len(clips) == len(expected)
    for index in range(len(clips)):
        element = clips.clip(index)
        for name, values in expected.clip(index).items():
            np.testing.assert_array_equal(element[name], values)


@pytest.mark.parametrize("kind", FORMATS)
def test_shards_of_a_store_give_the_same_clips(kind, any_store, prepared):
    any_store.fill(prepared(kind))
    assert_same(train_clips(any_store.url), train_clips(prepared(kind)))
    assert verify_shards(any_store.url, progress=False).findings == ()


@pytest.mark.parametrize("kind", FORMATS)
def test_shards_are_written_to_a_store(kind, s3_store, videos, prepared):
    url = f"{s3_store.url}/out"
    prepare_videos(videos, url, kind)
    for path in prepared(kind).iterdir():
        if not path.name.startswith("."):
            data = _remote_files.read_bytes(f"{url}/{path.name}")
            assert data == path.read_bytes(), path.name
    assert_same(train_clips(url), train_clips(prepared(kind)))


def test_videos_of_a_store_are_prepared(gcs_store, videos, prepared, tmp_path):
    gcs_store.fill(videos)
    report = prepare_shards(
        gcs_store.url, tmp_path / "out", "tfrecord", 3, FORM, progress=False
    )
    assert report.used == 9
    assert {f.problem for f in report.findings} == {
        Problem.CORRUPT,
        Problem.NO_AUDIO,
        Problem.NO_CAPTION,
    }


def test_an_object_that_vanishes_is_named_and_its_clips_are_skipped(s3_store, prepared):
    s3_store.fill(prepared("tfrecord"))
    clips = train_clips(s3_store.url)
    s3_store.delete("train-00001-of-00003.tfrecord")
    for index in (1, 2, 3):
        with pytest.raises(MediaError) as caught:
            clips.clip(index)
        assert caught.value.problem is Problem.MISSING
    assert all(clips.clip(index) for index in (0, 4, 5, 6))
    (finding,) = clips.report.findings
    assert finding.where == f"{s3_store.url}/train-00001-of-00003.tfrecord"


def test_a_copy_of_an_array_record_is_renewed_when_the_object_changes(
    s3_store, prepared, tmp_path
):
    s3_store.fill(prepared("arrayrecord"))
    train_clips(s3_store.url).clip(0)
    train_clips(s3_store.url).clip(0)
    copies = list((tmp_path / "cache").glob("*.arrayrecord"))
    assert len(copies) == 1
    other = shutil.copytree(prepared("arrayrecord"), tmp_path / "other")
    names = [f"train-0000{k}-of-00003.arrayrecord" for k in (0, 1)]
    s3_store.put(names[0], (other / names[1]).read_bytes())
    assert len(open_records(f"{s3_store.url}/{names[0]}").splits["train"]) == 3


def test_a_stalled_store_is_an_error_within_the_limit(stalled_store, monkeypatch):
    monkeypatch.setattr(_remote_files, "REQUEST_SECONDS", 0.5)
    with pytest.raises(_remote_files.RemoteFileError, match="did not answer within"):
        open_records(f"{stalled_store}/x.tar")
