"""What a user has named is told from what a stranger's file names."""

import os
import stat
import sys

import pytest

from keras_vatt._signature import is_signed, sign

pytestmark = pytest.mark.once


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_only_the_same_names_are_signed():
    signature = sign({"preset": "a"})
    assert is_signed({"preset": "a"}, signature)
    assert not is_signed({"preset": "b"}, signature)
    for other in (None, "", 3, [], "é", signature[:-1], {"a": 1}):
        assert not is_signed({"preset": "a"}, other)


def test_another_user_has_another_key(home, monkeypatch):
    signature = sign({"preset": "a"})
    monkeypatch.setenv("KERAS_HOME", str(home.parent / "other"))
    assert not is_signed({"preset": "a"}, signature)
    assert sign({"preset": "a"}) != signature


@pytest.mark.skipif(sys.platform == "win32", reason="modes of Unix")
def test_the_key_is_the_user_s_alone(home):
    signature = sign({"preset": "a"})
    (key,) = home.iterdir()
    assert stat.S_IMODE(os.stat(key).st_mode) == 0o600
    key.chmod(0o644)
    assert not is_signed({"preset": "a"}, signature)
    assert sign({"preset": "a"}) is None


@pytest.mark.skipif(sys.platform == "win32", reason="links of Unix")
def test_a_linked_key_is_none(home):
    sign({"preset": "a"})
    (key,) = home.iterdir()
    key.rename(home.parent / "key")
    key.symlink_to(home.parent / "key")
    assert sign({"preset": "a"}) is None


def test_where_no_key_can_be_kept_nothing_is_signed(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "file"))
    assert sign({"preset": "a"}) is None
    assert not is_signed({"preset": "a"}, "0" * 64)
