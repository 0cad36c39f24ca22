"""Fields of settings dataclasses: their command-line options and their checks.

The annotation and the metadata of a field define its option, its type and its range.
The command line, settings files and Python code all use this one definition.
"""

import argparse
import dataclasses
import math
import os
import types
import typing
from collections.abc import Callable, Collection
from typing import Any

REQUIRED = dataclasses.MISSING

_LARGEST_INT = 2**31 - 1
_KINDS = (bool, int, float, str, tuple[str, ...])
_STRINGS = str | tuple[str, ...]


def setting(
    default: Any,
    text: str,
    choices: Collection[str] | None = None,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    option: str | None = None,
    metavar: str | None = None,
) -> Any:
    """Returns a dataclass field with the metadata of its option and its checks.

    Its annotation must be `bool`, `int`, `float`, `str` or `tuple[str, ...]`, or a
    union of one of these with `None` or `Literal` strings; or `str | tuple[str, ...]`,
    an option that is given once or several times.

    Args:
        default: default value, or `REQUIRED` for none.
        text: str. Help text of the option, in which `%` must be doubled.
        choices: collection of str. Values of the setting. Defaults to `None`, any.
        least: number. Smallest value. Defaults to `None`.
        above: number. Excluded lower limit. Defaults to `None`.
        most: number. Largest value. Defaults to `None`, the largest value of int32 for
            an integer.
        option: str. Name of the option. Defaults to `None`, derived from the field's.
        metavar: str. Placeholder of the value in the help text. Defaults to `None`,
            chosen by `argparse`.

    Example:
    ```python
    @dataclasses.dataclass(frozen=True)
    class Settings:
        epochs: int = setting(10, "number of epochs", least=1)
    ```
    """
    metadata = {
        "help": text,
        "choices": choices,
        "least": least,
        "above": above,
        "most": most,
        "option": option,
        "metavar": metavar,
    }
    return dataclasses.field(default=default, metadata=metadata)


def add_setting_options(parser: argparse.ArgumentParser, cls: type) -> None:
    """Adds an option for each field. Parsing sets only options that are given.

    Args:
        parser: `argparse.ArgumentParser`.
        cls: dataclass whose fields are made by `setting`.
    """
    for field in dataclasses.fields(cls):
        parser.add_argument(
            option_of(field),
            dest=field.name,
            default=argparse.SUPPRESS,
            required=field.default is REQUIRED,
            help=_help_of(field),
            **_parsing_of(field),
        )


def given_settings(arguments: argparse.Namespace, cls: type) -> dict[str, Any]:
    """Returns the settings that were given on the command line, by their names."""
    names = {field.name for field in dataclasses.fields(cls)}
    is_repeatable = {
        field.name: _type_of(field)[0] == _STRINGS for field in dataclasses.fields(cls)
    }
    return {
        name: _given(value, is_repeatable[name])
        for name, value in vars(arguments).items()
        if name in names
    }


def _given(value, is_repeatable):
    if not isinstance(value, list):
        return value
    return value[0] if is_repeatable and len(value) == 1 else tuple(value)


def option_of(field: dataclasses.Field) -> str:
    """Returns the option of a field, such as `"--batch-size"`."""
    return field.metadata["option"] or "--" + field.name.replace("_", "-")


def check_settings(settings: Any, error: type[Exception]) -> None:
    """Raises an error if a setting has a wrong type or is out of its range.

    Args:
        settings: instance of a dataclass whose fields are made by `setting`.
        error: class of the exception to raise.
    """
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        check_type(field, value, error)
        if isinstance(value, int | float):
            _check_range(field, value, error)


def check_type(
    field: dataclasses.Field, value: Any, error: type[Exception], where: str = ""
) -> None:
    """Raises an error if a value has a wrong type or is none of the choices.

    Args:
        field: field that is made by `setting`.
        value: value of the setting, of any type.
        error: class of the exception to raise.
        where: str. Beginning of the message. Defaults to `""`.
    """
    kind, words, is_optional = _type_of(field)
    if value is None and is_optional:
        return
    choices = field.metadata["choices"]
    fits = value in words if isinstance(value, str) and words else _is_a(value, kind)
    if fits and (not choices or value in choices):
        return
    expected = choices or [_name_of(kind), *map(repr, words)]
    raise error(
        f"{where}{field.name} = {shorten(value)}; expected {' or '.join(expected)}"
    )


def shorten(value: Any) -> str:
    """Returns the `repr` of a value for a message, cut to 100 characters."""
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:100]}..."


def _help_of(field):
    text, default = field.metadata["help"], field.default
    if default is REQUIRED or default is None:
        return text
    shown = ", ".join(default) if isinstance(default, tuple) else default
    return f"{text} (default: {shown})"


def _parsing_of(field):
    kind, words, _ = _type_of(field)
    if kind is bool:
        return {"action": argparse.BooleanOptionalAction}
    metadata = field.metadata
    keywords = {"choices": metadata["choices"], "metavar": metadata["metavar"]}
    if kind in (tuple[str, ...], _STRINGS):
        return keywords | {"action": "append"}
    return keywords | {"type": parser_of(kind, words) if words else kind}


def parser_of(kind: type, words: Collection[str]) -> Callable[[str], Any]:
    """Returns the `type` of an option that takes numbers, or some words instead."""

    def parse(text):
        if text in words:
            return text
        try:
            return kind(text)
        except ValueError as error:
            expected = " or ".join([kind.__name__, *map(repr, words)])
            raise argparse.ArgumentTypeError(
                f"invalid value {text!r}: expected {expected}"
            ) from error

    return parse


def _type_of(field):
    """Returns the type of a field, the strings it may be instead, and if `None`."""
    parts = (field.type,)
    if typing.get_origin(field.type) in (typing.Union, types.UnionType):
        parts = typing.get_args(field.type)
    kinds = [part for part in parts if part in _KINDS]
    if kinds == [str, tuple[str, ...]]:
        kinds = [_STRINGS]
    if len(kinds) != 1:
        raise TypeError(f"{field.name} has the unsupported type {field.type}")
    literals = [p for p in parts if typing.get_origin(p) is typing.Literal]
    words = [word for literal in literals for word in typing.get_args(literal)]
    return kinds[0], words, type(None) in parts


def _is_a(value, kind):
    if kind is float:
        return type(value) in (int, float)
    if kind is str:
        return isinstance(value, str | os.PathLike)
    if kind == _STRINGS and isinstance(value, str | os.PathLike):
        return True
    if kind in (tuple[str, ...], _STRINGS):
        is_sequence = isinstance(value, tuple | list)
        return is_sequence and all(isinstance(part, str) for part in value)
    return type(value) is kind


def _name_of(kind):
    names = {tuple[str, ...]: "tuple of str", _STRINGS: "str or tuple of str"}
    return names.get(kind) or kind.__name__


def _check_range(field, value, error):
    least, above, most = (field.metadata[key] for key in ("least", "above", "most"))
    if most is None and isinstance(value, int):
        most = _LARGEST_INT
    problem = None
    if isinstance(value, float) and not math.isfinite(value):
        problem = "a finite number"
    elif least is not None and value < least:
        problem = f"at least {least}"
    elif above is not None and value <= above:
        problem = f"above {above}"
    elif most is not None and value > most:
        problem = f"at most {most}"
    if problem is not None:
        raise error(f"{option_of(field)} must be {problem}, not {shorten(value)}")
