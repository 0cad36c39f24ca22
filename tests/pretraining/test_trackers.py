"""A tracker gets the settings, the logs of epochs and the validations of a run."""

import json
import sys
import types

import pytest

from keras_vatt.cli.main import main
from keras_vatt.pretraining import PretrainingError
from tests.pretraining.tiny_run import (
    Killed,
    kill_at_step,
    make_tiny_data,
    rows_of,
    run,
)

pytestmark = pytest.mark.once

OPTIONS = {"validation_steps": 2, "checkpoint_steps": 2}


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    return make_tiny_data(tmp_path_factory.mktemp("data"))


@pytest.fixture
def calls(monkeypatch):
    """Lists the calls of a package that stands in for both trackers."""
    calls = []
    package = types.SimpleNamespace(
        init=lambda **options: calls.append(("init", options)),
        log=lambda values, step: calls.append(("log", {"step": step, **values})),
        finish=lambda: calls.append(("finish", None)),
    )
    monkeypatch.setitem(sys.modules, "wandb", package)
    monkeypatch.setitem(sys.modules, "trackio", package)
    return calls


def test_a_tracker_gets_settings_epochs_and_validations(settings, tmp_path, calls):
    validations = run(settings, tmp_path / "run", **OPTIONS, tracker="wandb")
    (first, options), *logs, last = calls
    assert (first, last) == ("init", ("finish", None))
    assert options["config"]["seed"] == settings.seed
    assert (options["project"], options["name"]) == ("keras-vatt", "run")
    sent = [values for _, values in logs]
    assert [row for row in sent if "val_loss" in row] == validations
    epochs = [row for row in sent if "epoch" in row]
    assert [row.pop("step") for row in epochs] == [3, 6]
    assert epochs == rows_of(tmp_path / "run" / "history.csv")
    assert len(sent) == 5


@pytest.mark.parametrize(("tracker", "key"), [("wandb", "id"), ("trackio", "name")])
def test_a_run_that_resumes_continues_the_tracked_run(
    settings, tmp_path, monkeypatch, calls, tracker, key
):
    options = OPTIONS | {"tracker": tracker}
    with monkeypatch.context() as patch:
        kill_at_step(patch, 5)
        with pytest.raises(Killed):
            run(settings, tmp_path / "run", **options)
    assert calls[-1] == ("finish", None)
    run(settings, tmp_path / "run", **options)
    run(settings, tmp_path / "other" / "run", **options)
    starts = [options for name, options in calls if name == "init"]
    assert starts[0][key] == starts[1][key] != starts[2][key]
    assert all(options["resume"] == "allow" for options in starts)
    steps = [row["step"] for name, row in calls if name == "log" and "val_loss" in row]
    assert steps == [2, 4, 6, 2, 4, 6]


def test_a_missing_package_is_named_before_clips_are_decoded(
    settings, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "trackio", None)
    with pytest.raises(PretrainingError, match=r'pip install "keras-vatt\[trackio\]"'):
        run(settings, tmp_path / "run", tracker="trackio")
    assert not (tmp_path / "run" / "cache").exists()


def test_a_tracker_that_cannot_start_leaves_the_folder_for_another_run(
    settings, tmp_path, monkeypatch, calls, capsys
):
    def refuse(**options):
        raise RuntimeError("api_key not configured\n(no-tty)")

    monkeypatch.setattr(sys.modules["wandb"], "init", refuse)
    options = {
        "--data": settings.data,
        "--initialize-from": settings.initialize_from,
        "--batch-size": 4,
        "--output": tmp_path / "run",
    }
    arguments = [str(part) for option in options.items() for part in option]
    assert main(["pretrain", *arguments, "--tracker", "wandb"]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert "--tracker wandb can't be started: api_key not configured (no-" in last
    assert main(["pretrain", *arguments, "--epochs", "1", "--devices", "one"]) == 0


def test_the_id_of_a_tracked_run_is_not_taken_on_trust(settings, tmp_path, calls):
    (tmp_path / "run").mkdir()
    stored = {"id": "../../someone/else"}
    (tmp_path / "run" / "tracked_run.json").write_text(json.dumps(stored))
    run(settings, tmp_path / "run", epochs=1, tracker="wandb")
    assert calls[0][1]["id"].isalnum()
