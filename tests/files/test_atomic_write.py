"""A file is there whole, or not at all."""

import pytest

from keras_vatt._files import atomic_write

pytestmark = pytest.mark.once


def test_an_error_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "settings.json"
    path.write_text("old")

    def write_half():
        with atomic_write(path) as partial:
            partial.write_text("half")
            raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space"):
        write_half()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_partial_file_of_a_killed_process_is_overwritten(tmp_path):
    path = tmp_path / "settings.json"
    (tmp_path / ".settings.json.partial").write_text("half of an earlier write")
    with atomic_write(path) as partial:
        partial.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]
