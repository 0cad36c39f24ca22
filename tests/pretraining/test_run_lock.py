"""Two runs never write to the same folder, and a killed run does not block others."""

import contextlib
import json
import pathlib
import signal
import subprocess
import sys
import threading

import pytest

from keras_vatt.cli.main import main
from keras_vatt.pretraining import PretrainSettings, pretrain
from keras_vatt.pretraining._errors import PretrainingError
from keras_vatt.pretraining._named_places import sign_places
from keras_vatt.pretraining._run_lock import LOCK_NAME, run_lock
from keras_vatt.pretraining._settings import save_settings

pytestmark = pytest.mark.once

HOLDER = """
import sys, time
from keras_vatt.pretraining._run_lock import run_lock

with run_lock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(600)
"""


@contextlib.contextmanager
def another_run(output):
    """Starts a process that holds the lock of a run, and kills it at the end."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(output)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.wait()


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_second_run_is_refused_until_the_first_is_killed(tmp_path, capsys):
    output, data = tmp_path / "run", tmp_path / "data"
    data.mkdir()
    settings = PretrainSettings(data=str(data), output=str(output))
    with another_run(output) as process:
        assert {path.name for path in output.iterdir()} == {LOCK_NAME}
        save_settings(settings, output / "settings.json")
        sign_places(settings, output)
        before = content(output)
        resume = ["pretrain", "--resume", "--output", str(output)]
        assert main(resume) == 2
        error = capsys.readouterr().err
        assert "another run is writing to" in error
        assert len(error.splitlines()) == 1
        with pytest.raises(PretrainingError, match="another run is writing to"):
            pretrain(settings)
        assert content(output) == before
        process.send_signal(signal.SIGKILL)
        process.wait()
        # Nothing holds it back now but that it has no data.
        assert main(resume) == 2
        assert "nothing to train on" in capsys.readouterr().err
    assert content(output) == before


def test_a_second_first_start_leaves_the_first_alone(tmp_path, capsys):
    output, data = tmp_path / "run", tmp_path / "data"
    data.mkdir()
    with another_run(output):
        # It has not written its settings yet.
        code = main(["pretrain", "--data", str(data), "--output", str(output)])
        assert code == 2
        assert "another run is writing to" in capsys.readouterr().err
        assert {path.name for path in output.iterdir()} == {LOCK_NAME}


def test_another_thread_is_refused_and_the_same_one_is_not(tmp_path):
    errors = []

    def enter():
        try:
            with run_lock(tmp_path):
                pass
        except PretrainingError as error:
            errors.append(str(error))

    def enter_elsewhere():
        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
        return len(errors)

    with run_lock(tmp_path):
        with run_lock(tmp_path):
            assert enter_elsewhere() == 1
        assert enter_elsewhere() == 2
    assert enter_elsewhere() == 2


def test_a_start_that_fails_leaves_nothing_and_can_be_tried_again(tmp_path, capsys):
    (tmp_path / "data").mkdir()
    arguments = ["pretrain", "--data", str(tmp_path / "data"), "--output"]
    for _ in range(2):
        assert main([*arguments, str(tmp_path / "run")]) == 2
        assert "nothing to train on" in capsys.readouterr().err
        assert not (tmp_path / "run").exists()


def test_a_folder_of_other_things_gets_no_lock(tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("something")
    code = main(["pretrain", "--data", "demo", "--output", str(tmp_path)])
    assert code == 2
    assert "is not empty" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"mine.txt"}


def test_a_folder_that_can_not_be_made_is_named_in_one_line(tmp_path, capsys):
    (tmp_path / "file").write_text("something")
    output = tmp_path / "file" / "run"
    assert main(["pretrain", "--data", "demo", "--output", str(output)]) == 2
    error = capsys.readouterr().err
    assert str(output) in error
    assert len(error.splitlines()) == 1


def test_a_damaged_run_is_named_in_one_line_and_keeps_its_files(tmp_path, capsys):
    (tmp_path / "settings.json").write_text(json.dumps({"data": "x"})[:-3])
    before = content(tmp_path)
    assert main(["pretrain", "--resume", "--output", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert "are damaged and can't be read" in error
    assert len(error.splitlines()) == 1
    assert content(pathlib.Path(tmp_path)) == before
