"""All error classes have one base class, by which the command line prints them."""

import ast
import pathlib

import pytest

import keras_vatt
from keras_vatt.conversion._errors import CheckpointMismatchError
from keras_vatt.storage import PresetError

pytestmark = pytest.mark.once

_BASE = "KerasVATTError"


def _bases_of_error_classes():
    """Returns a dict from the name of each error class to the names of its bases."""
    found = {}
    for path in pathlib.Path(keras_vatt.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef) and node.name.endswith("Error"):
                found[node.name] = [ast.unparse(base) for base in node.bases]
    return found


_BASES = _bases_of_error_classes()


def _inherits_base(name):
    return name == _BASE or any(map(_inherits_base, _BASES.get(name, ())))


@pytest.mark.parametrize("name", sorted(_BASES))
def test_every_error_class_inherits_the_common_base(name):
    assert _inherits_base(name)


@pytest.mark.parametrize("error", [PresetError, CheckpointMismatchError])
def test_an_error_of_values_is_still_caught_as_a_value_error(error):
    assert issubclass(error, ValueError)
