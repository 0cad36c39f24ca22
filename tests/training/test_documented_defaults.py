"""Arguments have the defaults that the docstrings say they have."""

import ast
import inspect
import re

import pytest

import keras_vatt
from keras_vatt import harmonization, losses, training

pytestmark = pytest.mark.once


def documented():
    for package in (harmonization, losses, training):
        for name in package.__all__:
            item = getattr(package, name)
            doc = inspect.cleandoc(item.__doc__ or "")
            yield pytest.param(item, doc, id=name)
    for model in (training.HarmonizedModel, keras_vatt.VATT):
        doc = inspect.cleandoc(model.compile.__doc__)
        yield pytest.param(model.compile, doc, id=f"{model.__name__}.compile")


def defaults_in(doc):
    """Dict from argument to the value that follows "Defaults to" in its entry."""
    _, _, rest = doc.partition("Args:\n")
    entries = re.findall(r"^    (\w+): (.*?)(?=^    \S|^\S|\Z)", rest, re.S | re.M)
    found = {
        name: re.search(r"Defaults\s+to\s+`(.+?)`", text) for name, text in entries
    }
    literals = {n: m[1] for n, m in found.items() if m and not m[1].endswith(")")}
    return {name: ast.literal_eval(literal) for name, literal in literals.items()}


@pytest.mark.parametrize(("item", "doc"), list(documented()))
def test_signature_has_the_documented_defaults(item, doc):
    parameters = inspect.signature(item).parameters
    for name, value in defaults_in(doc).items():
        assert parameters[name].default == value, name


def test_defaults_are_found():
    assert defaults_in(inspect.cleandoc(harmonization.LinearThreshold.__doc__)) == {
        "start": -0.3,
        "end": 0.0,
        "steps": 500_000,
    }
