"""A run that someone else started opens nothing outside its folder without consent."""

import json
import os
import sys

import pytest

from keras_vatt.cli import pretrain as command
from keras_vatt.cli.main import main
from keras_vatt.pretraining._settings import PretrainSettings, save_settings

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(sys.platform == "win32", reason="links of Unix"),
]


@pytest.fixture(autouse=True)
def started(monkeypatch, tmp_path):
    """Collects the settings of runs instead of starting them."""
    runs = []
    monkeypatch.setattr(command, "pretrain", runs.append)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    return runs


@pytest.fixture
def run(tmp_path):
    return tmp_path / "run"


def store(run, **settings):
    """Writes the settings of a run that someone else has started."""
    run.mkdir()
    settings = {"data": "demo", "output": str(run)} | settings
    save_settings(PretrainSettings(**settings), run / "settings.json")


def resume(run, *options):
    return main(["pretrain", "--output", str(run), "--resume", *options])


NAMED = {
    "preset": "hf://owner/name",
    "initialize_from": "hf://owner/name",
    "data": "/home/someone/videos",
    "vocabulary": "/etc/passwd",
    "tracker": "wandb",
    "coordinator": "198.51.100.1:1234",
    "num_processes": 4,
}


@pytest.mark.parametrize("name", NAMED)
def test_what_a_stranger_s_settings_name_is_asked_for(name, run, started, capsys):
    store(run, **{name: NAMED[name]})
    assert resume(run) != 0
    message = capsys.readouterr().err
    assert f"--{name.replace('_', '-')} '{NAMED[name]}'" in message
    assert "started by someone else" in message
    assert not started


def test_a_stranger_s_run_leaves_its_folder_only_by_consent(
    run, started, tmp_path, capsys
):
    store(run, data="videos", allow_outside=True)
    assert resume(run, "--data", "videos") != 0
    assert capsys.readouterr().err.rstrip().endswith("add: --allow-outside")
    assert resume(run, "--data", "videos", "--allow-outside") == 0
    assert started[0].allow_outside


def test_consent_to_leave_the_folder_is_the_user_s_own(run, started, tmp_path, capsys):
    (tmp_path / "videos").mkdir()
    options = ["--data", str(tmp_path / "videos"), "--output", str(run)]
    assert main(["pretrain", *options]) == 0
    content = json.loads((run / "settings.json").read_text())
    (run / "settings.json").write_text(json.dumps(content | {"allow_outside": True}))
    assert resume(run) != 0
    assert "--allow-outside" in capsys.readouterr().err
    assert len(started) == 1


@pytest.mark.parametrize("name", ["preset", "initialize_from", "data", "vocabulary"])
def test_what_a_user_names_again_may_be_used(name, run, started):
    store(run, **{name: NAMED[name]})
    assert resume(run, f"--{name.replace('_', '-')}", NAMED[name]) == 0
    assert getattr(started[0], name) == NAMED[name]


def test_what_the_package_has_needs_no_question(run, started):
    store(run)
    assert resume(run) == 0
    assert len(started) == 1


@pytest.mark.parametrize("option", ["--preset", "--initialize-from"])
def test_a_user_s_own_run_goes_on_by_itself(option, run, started, tmp_path):
    (tmp_path / "videos").mkdir()
    options = ["--data", str(tmp_path / "videos"), option, "hf://owner/name"]
    assert main(["pretrain", "--output", str(run), *options]) == 0
    assert resume(run) == 0
    assert started[0] == started[1]


@pytest.mark.parametrize("name", ["preset", "initialize_from"])
def test_changed_settings_are_not_the_user_s_own(name, run, started, tmp_path, capsys):
    (tmp_path / "videos").mkdir()
    options = ["--data", str(tmp_path / "videos"), "--output", str(run)]
    assert main(["pretrain", *options]) == 0
    content = json.loads((run / "settings.json").read_text())
    content[name] = "hf://owner/other"
    (run / "settings.json").write_text(json.dumps(content))
    assert resume(run) != 0
    assert "hf://owner/other" in capsys.readouterr().err
    assert len(started) == 1


MADE = {
    "leads out": lambda path: path.symlink_to(path.parent.parent / "outside.json"),
    "not a regular file": os.mkfifo,
    "is not a regular file": lambda path: path.mkdir(),
    "more than": lambda path: path.write_text(" " * 2_000_000),
}


@pytest.mark.parametrize("message", MADE)
def test_settings_are_a_regular_file_of_the_run(message, run, started, capsys):
    store(run)
    (run / "settings.json").rename(run.parent / "outside.json")
    MADE[message](run / "settings.json")
    assert resume(run) != 0
    assert message in capsys.readouterr().err
    assert not started


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_a_stranger_s_run_has_no_links_out_and_no_pipes(kind, run, started, capsys):
    store(run)
    (run / "cache").mkdir()
    if kind == "link":
        (run / "cache" / "cache.json").symlink_to(run.parent / "precious")
    else:
        os.mkfifo(run / "cache" / "cache.json")
    assert resume(run) != 0
    assert "cache/cache.json" in capsys.readouterr().err
    assert not started
