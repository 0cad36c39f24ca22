"""Files of a stranger's folder are read only where they are what they should be."""

import json
import os
import sys

import numpy as np
import pytest

from keras_vatt._files import atomic_write
from keras_vatt._untrusted import parse_json, read_object, read_text, regular_file
from keras_vatt.storage._finite_weights import check_finite

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(sys.platform == "win32", reason="links of Unix"),
]


class OwnError(ValueError):
    pass


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "inside").mkdir()
    (tmp_path / "secret").write_text("{}")
    (tmp_path / "inside" / "a.json").write_text('{"b": 1}')
    return tmp_path / "inside"


def test_a_file_inside_is_read(folder):
    assert read_object(folder, "a.json", OwnError, 100) == {"b": 1}
    assert read_object(folder, "gone.json", OwnError, 100) is None
    (folder / "link").symlink_to("a.json")
    assert read_text(folder, "link", OwnError, 100) == '{"b": 1}'


def test_the_cache_of_the_hub_keeps_files_beside_its_snapshots(tmp_path):
    folder = tmp_path / "snapshots" / "123"
    (folder / "assets").mkdir(parents=True)
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / "x").write_text("words")
    (folder / "assets" / "a.txt").symlink_to("../../../blobs/x")
    assert read_text(folder, "assets/a.txt", OwnError, 100) == "words"
    assert read_text(folder / "assets", "a.txt", OwnError, 100) == "words"
    (tmp_path / "other").write_text("words")
    (folder / "b.txt").symlink_to("../../other")
    with pytest.raises(OwnError, match="leads out"):
        read_text(folder, "b.txt", OwnError, 100)


MADE = {
    "leads out": lambda path: path.symlink_to("../secret"),
    "leads out of": lambda path: path.symlink_to("/dev/zero"),
    "can.t be resolved": lambda path: path.symlink_to(path.name),
    "broken link": lambda path: path.symlink_to("nothing"),
    "regular file": os.mkfifo,
    "is not a regular file": lambda path: path.mkdir(),
    "the limit of 100": lambda path: path.write_text("x" * 101),
    "can't be read": lambda path: path.write_bytes(b"\xff\xfe"),
    "a JSON object": lambda path: path.write_text("[]"),
    "duplicate keys": lambda path: path.write_text('{"a": 1, "a": 2}'),
    "recursion": lambda path: path.write_text("[" * 99),
}


@pytest.mark.parametrize("message", MADE)
def test_anything_else_is_one_clear_error(message, folder, monkeypatch):
    MADE[message](folder / "x.json")
    if message == "recursion":
        (folder / "x.json").write_text("[" * 100_000)
    limit = 1_000_000 if message == "recursion" else 100
    with pytest.raises(OwnError, match=message):
        read_object(folder, "x.json", OwnError, limit)


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/../../secret"])
def test_a_name_that_leads_out_is_refused(name, folder):
    with pytest.raises(OwnError, match="leads out"):
        regular_file(folder, name, OwnError)


def test_a_repeated_key_is_refused_at_any_depth():
    assert parse_json('{"a": {"b": [1]}}') == {"a": {"b": [1]}}
    with pytest.raises(ValueError, match="duplicate keys"):
        parse_json('{"a": [{"b": 1, "b": 2}]}')


def test_a_write_goes_through_no_link_of_a_partial_file(tmp_path):
    (tmp_path / "precious").write_text("mine")
    (tmp_path / ".index.json.partial").symlink_to("precious")
    with atomic_write(tmp_path / "index.json") as partial:
        partial.write_text(json.dumps({}))
    assert (tmp_path / "precious").read_text() == "mine"
    assert not (tmp_path / "index.json").is_symlink()


@pytest.mark.parametrize("stored", ["float16", "float32", "float64", "bfloat16"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_must_be_finite(stored, value):
    import ml_dtypes

    dtype = ml_dtypes.bfloat16 if stored == "bfloat16" else stored
    values = np.zeros((3, 5), dtype)
    check_finite(values, "float32", "kernel")
    values[2, 4] = value
    with pytest.raises(ValueError, match="'kernel' have values that are not finite"):
        check_finite(values, "float32", "kernel")


def test_weights_must_be_finite_in_the_dtype_of_the_model():
    values = np.full((2, 2), 70_000.0, "float32")
    check_finite(values, "bfloat16", "kernel")
    check_finite(np.zeros(3, "int8"), "int8", "kernel")
    with pytest.raises(ValueError, match="float16"):
        check_finite(values, "float16", "kernel")
    with pytest.raises(ValueError, match="float32"):
        check_finite(np.full(2, -1e300), "float32", "kernel")
