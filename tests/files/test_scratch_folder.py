"""Folders that killed processes leave are removed, and those of living ones are not."""

import os
import pathlib
import signal
import subprocess
import sys

import pytest

from keras_vatt import _files
from keras_vatt._files import scratch_folder

pytestmark = pytest.mark.once

# Importing the module alone takes a moment, the package seconds.
WRITER = """
import importlib.util, pathlib, sys, time, types
root = pathlib.Path(sys.argv[2])
package = types.ModuleType("keras_vatt")
package.__path__ = [str(root)]
sys.modules["keras_vatt"] = package
from keras_vatt._files import scratch_folder
with scratch_folder(sys.argv[1], ".preset-", ("new",)) as folder:
    (folder / "new").mkdir()
    (folder / "new" / "half").write_text("written")
    print(folder, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def writer(tmp_path):
    package = pathlib.Path(_files.__file__).parent
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path), str(package)],
        stdout=subprocess.PIPE,
        text=True,
    )
    yield process, pathlib.Path(process.stdout.readline().strip())
    process.kill()
    process.communicate()


def test_the_folder_of_a_killed_process_is_removed_by_the_next(tmp_path, writer):
    process, left = writer
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert (left / "new" / "half").is_file()
    with scratch_folder(tmp_path, ".preset-", ("new",)) as folder:
        assert list(tmp_path.iterdir()) == [folder]
    assert list(tmp_path.iterdir()) == []


def test_the_folder_of_a_living_process_is_left_alone(tmp_path, writer):
    _, written = writer
    with scratch_folder(tmp_path, ".preset-", ("new",)):
        pass
    assert (written / "new" / "half").read_text() == "written"


def test_folders_of_two_threads_are_left_alone(tmp_path):
    with (
        scratch_folder(tmp_path, ".preset-", ("new",)) as first,
        scratch_folder(tmp_path, ".preset-", ("new",)) as second,
    ):
        assert first.is_dir()
        assert second.is_dir()


def test_what_others_keep_under_such_a_name_is_left_alone(tmp_path):
    (tmp_path / ".preset-backup").mkdir()
    (tmp_path / ".preset-backup" / "notes.txt").write_text("mine")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / ".preset-link").symlink_to(tmp_path / "elsewhere")
    with scratch_folder(tmp_path, ".preset-", ("new",)):
        pass
    assert (tmp_path / ".preset-backup" / "notes.txt").is_file()
    assert (tmp_path / ".preset-link").is_symlink()
    assert list((tmp_path / "elsewhere").iterdir()) == []
