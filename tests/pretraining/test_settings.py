"""Settings come from defaults, recipe and command line, and are checked."""

import argparse
import dataclasses
import json

import pytest

from keras_vatt.pretraining.errors import PretrainingError
from keras_vatt.pretraining.settings import (
    PretrainSettings,
    add_arguments,
    load_settings,
    recipe_names,
    resolve_settings,
    save_settings,
)

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
        ("epochs = ", "is no TOML"),
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
        ({"batch_size": 6, "num_groups": 4}, "no multiple of --num-groups 4"),
    ],
)
def test_settings_that_make_no_run_are_refused(changes, message):
    with pytest.raises(PretrainingError, match=message):
        resolve_settings(GIVEN | changes)


def test_every_setting_is_an_option_that_is_left_out_unless_given():
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    assert vars(parser.parse_args([])) == {}
    arguments = ["--epochs", "3", "--no-cache", "--learning-rate", "1e-3"]
    assert vars(parser.parse_args(arguments)) == {
        "epochs": 3,
        "cache": False,
        "learning_rate": 1e-3,
    }
    options = {action.dest for action in parser._actions}
    assert {field.name for field in dataclasses.fields(PretrainSettings)} <= options
    assert "--threshold-start" in parser.format_help()


def test_a_resumed_run_keeps_its_settings(tmp_path):
    settings = resolve_settings(GIVEN | {"epochs": 3})
    save_settings(settings, tmp_path / "settings.json")
    assert json.loads((tmp_path / "settings.json").read_text())["epochs"] == 3
    assert load_settings(tmp_path / "settings.json", {"epochs": 3}) == settings
    with pytest.raises(PretrainingError, match="started with --epochs 3"):
        load_settings(tmp_path / "settings.json", {"epochs": 4})
    with pytest.raises(PretrainingError, match="no run to resume"):
        load_settings(tmp_path / "elsewhere.json", {})
