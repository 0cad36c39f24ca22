"""Settings come from defaults, recipe and command line, and are checked."""

import json
import os

import numpy as np
import pytest

from keras_vatt.pretraining import pretrain
from keras_vatt.pretraining._errors import PretrainingError
from keras_vatt.pretraining._settings import (
    PretrainSettings,
    load_settings,
    recipe_names,
    resolve_settings,
    save_settings,
)

pytestmark = pytest.mark.once

GIVEN = {"data": "videos", "output": "run"}


def test_the_command_line_wins_over_the_recipe_and_that_over_the_defaults(tmp_path):
    recipe = tmp_path / "mine.toml"
    recipe.write_text("epochs = 3\nlearning_rate = 1\n")
    settings = resolve_settings(GIVEN | {"epochs": 7}, str(recipe))
    assert (settings.epochs, settings.learning_rate) == (7, 1)
    assert settings.batch_size == PretrainSettings().batch_size


def test_the_paper_recipe_has_the_paper_settings():
    settings = resolve_settings(GIVEN, "paper")
    assert settings.epochs * settings.steps_per_epoch == 500_000
    assert settings.batch_size == 2048
    assert settings.preset == "vatt_medium_agnostic"
    assert settings.harmonizer == "curriculum+realign"
    assert (settings.threshold_start, settings.threshold_end) == (-0.3, 0.0)


def test_every_built_in_recipe_can_be_used():
    assert recipe_names() == ["demo", "paper"]
    for name in recipe_names():
        resolve_settings(GIVEN, name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch = 3", "unknown settings: \\['epoch'\\]"),
        ("epochs = 'three'", "epochs = 'three'; expected int"),
        ("epochs = true", "epochs = True; expected int"),
        ("loss = 'triplet'", "asymmetric or symmetric"),
        ("epochs = ", "is not valid TOML"),
    ],
)
def test_a_recipe_with_mistakes_is_refused(tmp_path, text, message):
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(PretrainingError, match=message):
        resolve_settings(GIVEN, str(tmp_path / "mine.toml"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": None}, "--data is missing"),
        ({"epochs": 0}, "--epochs must be at least 1"),
        ({"batch_size": 6, "num_groups": 4}, "must be a multiple of --num-groups 4"),
        ({"num_groups": "per_frame"}, "expected int or 'per_clip'"),
        ({"compare": "tokens"}, "expected parameters or features"),
        ({"patience": 3}, "--patience and --monitor need --validation-steps"),
        ({"monitor": "x"}, "--patience and --monitor need --validation-steps"),
        ({"ema_momentum": 1.5}, "--ema-momentum must be at most 1"),
        ({"tracker": "paper"}, "expected trackio or wandb"),
        ({"tokenizer": "bytes"}, "expected words or wordpiece"),
    ],
)
def test_settings_that_make_no_run_are_refused(changes, message):
    with pytest.raises(PretrainingError, match=message):
        resolve_settings(GIVEN | changes)


def test_a_resumed_run_keeps_its_settings(tmp_path):
    settings = resolve_settings(GIVEN | {"epochs": 3})
    save_settings(settings, tmp_path / "settings.json")
    assert json.loads((tmp_path / "settings.json").read_text())["epochs"] == 3
    assert load_settings(tmp_path / "settings.json", {"epochs": 3}) == settings
    with pytest.raises(PretrainingError, match="started with --epochs 3"):
        load_settings(tmp_path / "settings.json", {"epochs": 4})
    with pytest.raises(PretrainingError, match="no run to resume"):
        load_settings(tmp_path / "elsewhere.json", {})


def saved_with(folder, **changes):
    """Writes a settings file with the given changes, and returns its path."""
    path = folder / "settings.json"
    save_settings(resolve_settings(GIVEN), path)
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": "3"}, "epochs = '3'; expected int"),
        ({"epochs": True}, "epochs = True; expected int"),
        ({"epochs": 2.5}, "epochs = 2.5; expected int"),
        ({"epochs": None}, "epochs = None; expected int"),
        ({"epochs": 0}, "--epochs must be at least 1, not 0"),
        ({"epochs": 10**400}, "--epochs must be at most"),
        ({"data": [1]}, "data = \\(1,\\); expected str or tuple of str"),
        ({"data": None}, "--data is missing"),
        ({"loss": "triplet"}, "expected asymmetric or symmetric"),
        ({"cache": 1}, "cache = 1; expected bool"),
        ({"learning_rate": float("nan")}, "--learning-rate must be a finite number"),
        ({"learning_rate": -1e-3}, "--learning-rate must be above 0"),
        ({"temperature": float("inf")}, "--temperature must be a finite number"),
        ({"horizontal_flip": 1.5}, "--horizontal-flip must be at most 1"),
        ({"threshold_end": -2}, "--threshold-end must be at least -1"),
        ({"seed": -1}, "--seed must be at least 0"),
        ({"seed": 2**32}, "--seed must be at most 4294967295"),
        ({"num_workers": 0}, "--num-workers must be at least 1"),
        ({"batch_size": 6, "num_groups": 4}, "must be a multiple of --num-groups 4"),
        ({"epochz": 3}, "unknown settings: \\['epochz'\\]; it is damaged, or from an"),
    ],
)
def test_saved_settings_that_no_run_has_are_refused(tmp_path, changes, message):
    path = saved_with(tmp_path, **changes)
    with pytest.raises(PretrainingError, match=message) as caught:
        load_settings(path, {})
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"3", b"\x00" * 50, b"\xff\xfe", b"[" * 99_999, b'{"seed": 1e'],
)
def test_a_damaged_file_of_settings_is_refused(tmp_path, content):
    path = tmp_path / "settings.json"
    path.write_bytes(content)
    with pytest.raises(PretrainingError) as caught:
        load_settings(path, {})
    assert str(path) in str(caught.value)
    assert "damaged" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_file_of_settings_is_not_opened(tmp_path):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").write_bytes(b" " * 2_000_000)
    for name in ("folder", "pipe", "large"):
        with pytest.raises(PretrainingError, match="is not a file, or is too large"):
            load_settings(tmp_path / name, {})


@pytest.mark.parametrize("seed", range(40))
def test_flipped_bits_give_settings_or_one_clear_line(tmp_path, seed):
    path = saved_with(tmp_path)
    random = np.random.default_rng(seed)
    content = bytearray(path.read_bytes())
    for _ in range(3):
        content[random.integers(len(content))] ^= 1 << random.integers(8)
    path.write_bytes(content)
    message = ""
    try:
        load_settings(path, {})
    except PretrainingError as error:
        message = str(error)
    assert not message or str(path) in message
    assert len(message.splitlines()) <= 1


def test_a_run_that_ended_at_a_broken_file_may_resume_without_it(tmp_path):
    path = tmp_path / "settings.json"
    save_settings(resolve_settings(GIVEN | {"on_error": "raise"}), path)
    assert load_settings(path, {}).on_error == "raise"
    assert load_settings(path, {"on_error": "skip"}).on_error == "skip"
    with pytest.raises(PretrainingError, match="--short-clips repeat"):
        load_settings(path, {"short_clips": "pad"})


def test_settings_of_a_version_with_fewer_of_them_can_be_loaded(tmp_path):
    path = tmp_path / "settings.json"
    path.write_text(json.dumps(GIVEN | {"epochs": 3}))
    assert load_settings(path, {}) == resolve_settings(GIVEN | {"epochs": 3})
    assert load_settings(path, {"seed": 0}).seed == 0
    with pytest.raises(PretrainingError, match="started with --seed 0"):
        load_settings(path, {"seed": 1})


def test_settings_given_to_a_resumed_run_are_checked_too(tmp_path):
    with pytest.raises(PretrainingError, match="--num-processes must be at least 0"):
        load_settings(saved_with(tmp_path), {"num_processes": -1})


def test_settings_are_saved_whole_or_not_at_all(tmp_path, monkeypatch):
    path = saved_with(tmp_path)
    before = path.read_bytes()

    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space left"):
        save_settings(resolve_settings(GIVEN | {"epochs": 99}), path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_settings_that_are_made_by_hand_are_checked_by_the_run():
    with pytest.raises(PretrainingError, match="--epochs must be at least 1"):
        pretrain(PretrainSettings(**GIVEN, epochs=0))


def test_a_recipe_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "mine.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(PretrainingError, match="is not valid TOML"):
        resolve_settings(GIVEN, str(tmp_path / "mine.toml"))
