"""A preset that can't be written is an error with its path, and nothing is lost."""

import errno

import keras
import pytest

from keras_vatt.models import _preset_saving as saving
from keras_vatt.storage._preset_writer import write_folder
from tests.file_limits import file_size_limit
from tests.models.tiny import tiny_vatt


def test_a_full_disk_leaves_the_earlier_preset(tmp_path):
    folder = tmp_path / "preset"
    tiny_vatt().save_to_preset(folder)
    before = (folder / "metadata.json").read_text()
    with (
        file_size_limit((folder / "model.safetensors").stat().st_size // 2),
        pytest.raises(OSError, match="File too large") as caught,
    ):
        tiny_vatt().save_to_preset(folder)
    assert caught.value.filename == str(folder)
    assert (folder / "metadata.json").read_text() == before
    assert list(tmp_path.iterdir()) == [folder]


def test_space_for_hdf5_is_asked_for_before_it_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(keras.Model, "save_weights", None)
    backbone = tiny_vatt().backbone
    with (
        file_size_limit(backbone.count_params()),
        pytest.raises(OSError, match="File too large") as caught,
    ):
        saving.save_keras_hub_weights(backbone, tmp_path)
    assert caught.value.errno == errno.EFBIG
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_can_not_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with (
        pytest.raises(OSError, match=r"file|directory") as caught,
        write_folder(tmp_path / "file" / "preset"),
    ):
        pass
    assert str(tmp_path / "file") in str(caught.value)


def test_what_a_killed_save_left_is_removed_by_the_next(tmp_path):
    left = tmp_path / ".preset-abcdefgh"
    (left / "new").mkdir(parents=True)
    (left / "new" / "config.json").write_text("{")
    tiny_vatt().save_to_preset(tmp_path / "preset")
    assert [path.name for path in tmp_path.iterdir()] == ["preset"]
