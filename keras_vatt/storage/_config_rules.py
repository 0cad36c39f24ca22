"""Rules for the values of the arguments in a preset's configs."""

import dataclasses
import re
from collections.abc import Callable
from typing import Any

from keras_vatt.storage import _config_limits as limits


@dataclasses.dataclass(frozen=True)
class Rule:
    """The values that an argument may have.

    Args:
        allows: function from a value to a bool.
        expected: string, a description of the values for the message.
    """

    allows: Callable[[Any], bool]
    expected: str


def rule_of(name):
    """Returns the `Rule` of an argument by its name."""
    return _RULES.get(name, _OTHER)


def is_plain(value):
    """Returns whether a value is `None`, a string, a boolean or a moderate number."""
    return value is None or isinstance(value, str | bool) or _is_number(value)


def _size(most):
    return Rule(lambda value: _is_size(value, most), f"an integer from 1 to {most:,}")


def _triple(most):
    return Rule(
        lambda value: (
            isinstance(value, list)
            and len(value) == 3
            and all(_is_size(size, most) for size in value)
        ),
        f"three integers from 1 to {most:,}",
    )


def _range(least, most):
    return Rule(
        lambda value: _is_number(value) and least <= value <= most,
        f"a number from {least:g} to {most:g}",
    )


def _choice(choices):
    return Rule(
        lambda value: isinstance(value, str) and value in choices,
        f"one of {', '.join(choices)}",
    )


def _strings(expected, optional=True, most=None):
    return Rule(
        lambda value: (
            optional
            and value is None
            or isinstance(value, list)
            and (most is None or len(value) <= most)
            and all(isinstance(entry, str) for entry in value)
        ),
        expected,
    )


def _is_size(value, most):
    is_int = isinstance(value, int) and not isinstance(value, bool)
    return is_int and 1 <= value <= most


def _is_number(value):
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and abs(value) < limits.MAX_NUMBER


def _is_name(value):
    return value is None or isinstance(value, str) and len(value) <= 200


def _is_config_file(value):
    return isinstance(value, str) and bool(re.fullmatch(r"\w{1,50}\.json", value))


def _is_batch_norm(value):
    rules = {"scale": _FLAG, "center": _FLAG} | dict.fromkeys(
        ("momentum", "epsilon"), _range(0.0, 1.0)
    )
    return isinstance(value, dict) and all(
        key in rules and rules[key].allows(entry) for key, entry in value.items()
    )


_FLAG = Rule(lambda value: isinstance(value, bool), "a boolean")
_OTHER = Rule(is_plain, "a string, a boolean or a number below 2**31")
_RULES = {
    "trainable": _FLAG,
    "trainable_word_embedding": _FLAG,
    "rematerialize": _FLAG,
    "multi_label": _FLAG,
    "use_bias": _FLAG,
    "normalize_first": _FLAG,
    "input_projection": _FLAG,
    "batch_norm": Rule(_is_batch_norm, "a dict of settings of a batch norm"),
    "name": Rule(_is_name, "a string of up to 200 characters"),
    # KerasHub writes it when a preset is saved.
    "config_file": Rule(_is_config_file, "the name of a JSON file of the preset"),
    "modalities": _strings("a list of up to three strings", optional=False, most=3),
    # A path is refused: an untrusted config could name any file of this machine.
    "vocabulary": _strings("a list of words; paths are refused"),
    "class_names": _strings("a list of strings"),
}
_RULES |= {name: _size(most) for name, most in limits.SIZES.items()}
_RULES |= {name: _triple(most) for name, most in limits.TRIPLES.items()}
_RULES |= {name: _range(*bounds) for name, bounds in limits.RANGES.items()}
_RULES |= {name: _choice(choices) for name, choices in limits.CHOICES.items()}
