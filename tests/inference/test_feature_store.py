"""Features outlive a crash."""

import json
import os
import sys

import numpy as np
import pytest
import safetensors.numpy

from keras_vatt.inference._errors import FeatureStoreError
from keras_vatt.inference._feature_store import FeatureStore

pytestmark = pytest.mark.once


def features_of(number):
    return {"to_text": np.full((2, 3), number, np.float32)}


def test_what_was_flushed_is_there_again(tmp_path):
    store = FeatureStore(tmp_path / "features")
    for number in range(300):
        store.add(f"clip {number}", features_of(number))
    # A crash now loses what came after the first 256.
    found = FeatureStore(tmp_path / "features")
    assert "clip 255" in found
    assert "clip 256" not in found
    store.flush()
    store.flush()
    found = FeatureStore(tmp_path / "features")
    for number in (0, 255, 256, 299):
        np.testing.assert_array_equal(
            found[f"clip {number}"]["to_text"], features_of(number)["to_text"]
        )


def test_a_half_written_file_is_no_harm_and_a_damaged_one_is_named(tmp_path):
    store = FeatureStore(tmp_path)
    store.add("a clip", features_of(1))
    store.flush()
    (tmp_path / ".000001.safetensors.partial").write_bytes(b"half")
    assert "a clip" in FeatureStore(tmp_path)
    (tmp_path / "000000.safetensors").write_bytes(b"damaged")
    with pytest.raises(FeatureStoreError, match=r"000000\.safetensors is damaged"):
        FeatureStore(tmp_path)


def test_a_file_is_not_written_over_where_an_earlier_one_was_deleted(tmp_path):
    store = FeatureStore(tmp_path)
    for number in range(2):
        store.add(f"clip {number}", features_of(number))
        store.flush()
    (tmp_path / "000000.safetensors").unlink()
    store = FeatureStore(tmp_path)
    store.add("clip 2", features_of(2))
    store.flush()
    found = FeatureStore(tmp_path)
    assert "clip 1" in found
    assert "clip 2" in found


def test_without_a_folder_features_are_kept_in_memory():
    store = FeatureStore()
    store.add("a clip", features_of(2))
    store.flush()
    assert store["a clip"]["to_text"][0, 0] == 2


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
        FeatureStoreError, match=r"000000\.safetensors is damaged.*delete"
    ):
        FeatureStore(tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="links of Unix")
@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_only_regular_files_of_the_folder_are_read(kind, tmp_path):
    folder = tmp_path / "features"
    store = FeatureStore(folder)
    store.add("a clip", features_of(1))
    store.flush()
    path = folder / "000000.safetensors"
    path.rename(tmp_path / "outside")
    if kind == "link":
        path.symlink_to(tmp_path / "outside")
    else:
        (os.mkfifo if kind == "pipe" else os.mkdir)(path)
    with pytest.raises(FeatureStoreError, match="leads out|no regular file"):
        FeatureStore(folder)
