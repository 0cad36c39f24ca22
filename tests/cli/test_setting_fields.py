"""Options and checks of settings are derived from the fields of their dataclass."""

import argparse
import dataclasses
from typing import Literal

import pytest

from keras_vatt._setting_fields import (
    REQUIRED,
    add_setting_options,
    check_settings,
    given_settings,
    option_of,
    setting,
)
from keras_vatt.auditing import AuditSettings
from keras_vatt.cli import audit, evaluate, pretrain
from keras_vatt.evaluation._settings import EvaluationSettings
from keras_vatt.pretraining import PretrainSettings

pytestmark = pytest.mark.once

COMMANDS = {
    AuditSettings: (audit, ["--preset", "p", "--data", "d", "--output", "o"]),
    EvaluationSettings: (
        evaluate,
        ["--task", "retrieval", "--preset", "p", "--data", "d"],
    ),
    PretrainSettings: (pretrain, []),
}


def parser_of(module):
    parser = argparse.ArgumentParser()
    module.add_arguments(parser)
    return parser


@pytest.mark.parametrize("cls", COMMANDS)
def test_every_field_has_an_option_with_its_default(cls):
    module, required = COMMANDS[cls]
    parser = parser_of(module)
    options = {action.dest: action for action in parser._actions}
    for field in dataclasses.fields(cls):
        action = options[field.name]
        assert option_of(field) in action.option_strings
        assert action.required == (field.default is dataclasses.MISSING)
        assert action.choices == field.metadata["choices"]
    given = given_settings(parser.parse_args(required), cls)
    assert len(given) == len(required) // 2
    names = {field.name for field in dataclasses.fields(cls)}
    defaults = {n: getattr(cls(**given), n) for n in names - given.keys()}
    assert defaults == {
        field.name: field.default
        for field in dataclasses.fields(cls)
        if field.name not in given
    }


@pytest.mark.parametrize("cls", COMMANDS)
def test_the_help_shows_the_defaults(cls):
    module, _ = COMMANDS[cls]
    text = " ".join(parser_of(module).format_help().split())
    assert "(default: repeat)" in text
    assert "None" not in text
    assert "REQUIRED" not in text


def test_options_of_evaluate_are_as_documented():
    settings = EvaluationSettings("retrieval", "p", "d")
    assert dataclasses.asdict(settings) == {
        "task": "retrieval",
        "preset": "p",
        "data": "d",
        "dataset": None,
        "split": 1,
        "windows": 4,
        "crops": None,
        "method": "logistic_regression",
        "modality": None,
        "templates": ("{}",),
        "short_clips": "repeat",
        "batch_size": 32,
        "num_workers": None,
        "limit": None,
        "output": None,
        "progress": True,
        "allow_outside": False,
        "caption_language": "en",
    }


def test_given_options_are_parsed_by_the_type_of_their_field():
    arguments = ["--epochs", "3", "--no-cache", "--learning-rate", "1e-3"]
    parsed = parser_of(pretrain).parse_args(arguments)
    assert given_settings(parsed, PretrainSettings) == {
        "epochs": 3,
        "cache": False,
        "learning_rate": 1e-3,
    }
    _, required = COMMANDS[EvaluationSettings]
    arguments = [*required, "--split", "all", "--template", "a {}", "--template", "{}"]
    parsed = parser_of(evaluate).parse_args([*arguments, "--allow-outside"])
    given = given_settings(parsed, EvaluationSettings)
    assert (given["split"], given["templates"]) == ("all", ("a {}", "{}"))
    assert given["allow_outside"]


@dataclasses.dataclass
class Small:
    name: str = setting(REQUIRED, "name")
    part: int | Literal["all"] = setting(1, "part", least=1)
    rate: float | None = setting(None, "rate", above=0, most=1)
    texts: tuple[str, ...] = setting((), "texts", option="--text")
    mode: str = setting("a", "mode", ["a", "b"])
    quiet: bool = setting(False, "quiet")


class SmallError(Exception):
    pass


@pytest.mark.parametrize(
    "values", [{"part": "all"}, {"rate": 1}, {"texts": ["x"]}, {"rate": None}]
)
def test_values_that_fit_are_accepted(values):
    check_settings(Small(**{"name": "x"} | values), SmallError)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": None}, "name = None; expected str"),
        ({"part": "none"}, "part = 'none'; expected int or 'all'"),
        ({"part": True}, "part = True; expected int or 'all'"),
        ({"part": 0}, "--part must be at least 1, not 0"),
        ({"part": 2**31}, "--part must be at most 2147483647"),
        ({"rate": 0}, "--rate must be above 0"),
        ({"rate": 1.5}, "--rate must be at most 1"),
        ({"rate": float("nan")}, "--rate must be a finite number"),
        ({"texts": "abc"}, "texts = 'abc'; expected tuple of str"),
        ({"texts": (1,)}, "expected tuple of str"),
        ({"mode": "c"}, "mode = 'c'; expected a or b"),
        ({"quiet": 1}, "quiet = 1; expected bool"),
    ],
)
def test_values_that_do_not_fit_are_named(values, message):
    with pytest.raises(SmallError, match=message):
        check_settings(Small(**{"name": "x"} | values), SmallError)


def test_a_word_that_an_option_does_not_know_is_refused(capsys):
    parser = argparse.ArgumentParser()
    add_setting_options(parser, Small)
    with pytest.raises(SystemExit):
        parser.parse_args(["--name", "x", "--part", "none"])
    assert "invalid value 'none': expected int or 'all'" in capsys.readouterr().err


def test_a_field_of_an_unsupported_type_is_a_defect():
    cls = dataclasses.make_dataclass("Odd", [("x", dict, setting(None, "x"))])
    with pytest.raises(TypeError, match="x has the unsupported type"):
        add_setting_options(argparse.ArgumentParser(), cls)
