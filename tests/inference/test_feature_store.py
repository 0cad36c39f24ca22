"""Stored features survive a crash."""

import json
import os
import sys

import numpy as np
import pytest
import safetensors.numpy

from keras_vatt.data import Finding, Problem
from keras_vatt.data.decoding._media_segment import MediaSegment
from keras_vatt.inference._errors import FeatureStoreError
from keras_vatt.inference._feature_store import FeatureStore

pytestmark = pytest.mark.once


def features_of(number):
    return {"video": {"to_text": np.full((2, 3), number, np.float32)}}


def clip_of(number):
    return MediaSegment(f"{number}.mp4", 1.0, 2.0)


def test_flushed_features_are_read_again(tmp_path):
    store = FeatureStore(tmp_path / "features")
    for number in range(300):
        store.add(clip_of(number), features_of(number))
    # A crash now loses what came after the first 256.
    found = FeatureStore(tmp_path / "features")
    assert clip_of(255) in found
    assert clip_of(256) not in found
    store.flush()
    store.flush()
    found = FeatureStore(tmp_path / "features")
    for number in (0, 255, 256, 299):
        np.testing.assert_array_equal(
            found[clip_of(number)]["to_text"], features_of(number)["video"]["to_text"]
        )


def test_a_partial_file_is_ignored_and_a_damaged_one_is_named(tmp_path):
    store = FeatureStore(tmp_path)
    store.add(clip_of(0), features_of(1))
    store.flush()
    (tmp_path / ".000001.safetensors.partial").write_bytes(b"half")
    assert clip_of(0) in FeatureStore(tmp_path)
    (tmp_path / "000000.safetensors").write_bytes(b"damaged")
    with pytest.raises(FeatureStoreError, match=r"000000\.safetensors is damaged"):
        FeatureStore(tmp_path)


def test_no_file_is_overwritten_after_an_earlier_one_was_deleted(tmp_path):
    store = FeatureStore(tmp_path)
    for number in range(2):
        store.add(clip_of(number), features_of(number))
        store.flush()
    (tmp_path / "000000.safetensors").unlink()
    store = FeatureStore(tmp_path)
    store.add(clip_of(2), features_of(2))
    store.flush()
    found = FeatureStore(tmp_path)
    assert clip_of(1) in found
    assert clip_of(2) in found


def test_without_a_folder_features_are_kept_in_memory():
    store = FeatureStore()
    store.add(clip_of(0), features_of(2))
    store.flush()
    assert store[clip_of(0)]["to_text"][0, 0] == 2


def test_findings_of_short_clips_are_stored(tmp_path):
    store = FeatureStore(tmp_path)
    finding = Finding(Problem.SHORT, "0.mp4", "lasts 0.50 s, a clip 0.80 s: repeated")
    store.add(clip_of(0), features_of(0), (finding,))
    store.add(clip_of(1), features_of(1))
    store.flush()
    found = FeatureStore(tmp_path)
    assert found.findings_of(clip_of(0)) == [finding]
    assert found.findings_of(clip_of(1)) == []


def test_a_changed_file_is_another_clip(tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"video")
    store = FeatureStore(tmp_path / "features")
    store.add(MediaSegment(str(path)), features_of(1))
    store.flush()
    assert MediaSegment(str(path)) in FeatureStore(tmp_path / "features")
    path.write_bytes(b"another video")
    assert MediaSegment(str(path)) not in FeatureStore(tmp_path / "features")


ROWS = {"to_text": np.zeros((2, 3), np.float32)}


@pytest.mark.parametrize(
    ("tensors", "metadata"),
    [
        (ROWS, None),
        (ROWS, {"clips": "[1, 2]"}),
        (ROWS, {"clips": "{}"}),
        (ROWS, {"clips": "["}),
        (ROWS, {"clips": "[" * 99_999}),
        (ROWS, {"clips": '["a"]'}),
        (ROWS, {"names": "[]"}),
        (ROWS, {"clips": json.dumps(["a", "b", "c"])}),
        ({}, {"clips": json.dumps(["a"])}),
    ],
)
def test_features_of_another_form_are_named(tmp_path, tensors, metadata):
    path = tmp_path / "000000.safetensors"
    safetensors.numpy.save_file(tensors, path, metadata)
    with pytest.raises(
        FeatureStoreError, match=r"000000\.safetensors is damaged.*Delete"
    ):
        FeatureStore(tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="links of Unix")
@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_only_regular_files_of_the_folder_are_read(kind, tmp_path):
    folder = tmp_path / "features"
    store = FeatureStore(folder)
    store.add(clip_of(0), features_of(1))
    store.flush()
    path = folder / "000000.safetensors"
    path.rename(tmp_path / "outside")
    if kind == "link":
        path.symlink_to(tmp_path / "outside")
    else:
        (os.mkfifo if kind == "pipe" else os.mkdir)(path)
    with pytest.raises(FeatureStoreError, match="leads out|not a regular file"):
        FeatureStore(folder)
