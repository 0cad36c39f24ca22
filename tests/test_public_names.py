"""Every documented name resolves after `import keras_vatt`, and is public."""

import operator
import re

import pytest

import keras_vatt
from tests.documented_names import documents, names_in
from tests.processes import run

pytestmark = pytest.mark.once

# Of internal packages, which docstrings inside the package may name.
_INTERNAL = ("keras_vatt.cli", "keras_vatt.training.backends", "keras_vatt.presets")
_DOCUMENTS = documents()


def resolve(name):
    """The object of a dotted name, by attributes alone."""
    return operator.attrgetter(name.removeprefix("keras_vatt."))(keras_vatt)


def problems_in(text, own_module="no module"):
    """Names in a text that a user can't use; an internal docstring may name its own."""
    for name in sorted(names_in(text)):
        if name.startswith((*_INTERNAL, own_module)):
            continue
        if re.search(r"\._[a-z]", name):
            yield f"{name} is private"
            continue
        try:
            resolve(name)
        except AttributeError as error:
            yield f"{name}: {error}"


def module_of(label):
    """The private module of a docstring's label, such as `keras_vatt/a/_b.py:c`."""
    path, is_docstring, _ = label.partition(":")
    return path.removesuffix(".py").replace("/", ".") if is_docstring else "no module"


def test_documented_names_resolve_and_are_public():
    problems = {
        label: found
        for label, text in _DOCUMENTS.items()
        if (found := list(problems_in(text, module_of(label))))
    }
    assert not problems


@pytest.mark.parametrize("name", ["keras_vatt.nothing", "keras_vatt.data._clips"])
def test_a_wrong_name_is_found(name):
    assert list(problems_in(f"See `{name}`."))


def test_all_names_of_the_package_resolve_and_are_listed():
    assert set(keras_vatt.__all__) <= set(dir(keras_vatt))
    for name in keras_vatt.__all__:
        assert resolve(f"keras_vatt.{name}") is not None


_RESOLVE_SUBMODULES = """
import sys
import keras_vatt
loaded = set(sys.modules)
assert not loaded & {"keras_vatt.evaluation", "keras_vatt.search", "lancedb"}, loaded
for name in ("conversion.convert", "search.embed_folder", "pretraining.pretrain"):
    package, function = name.split(".")
    assert callable(getattr(getattr(keras_vatt, package), function))
for name in ("data", "exporting", "planning"):
    getattr(keras_vatt, name)
"""
_LOAD_MODEL = """
import sys
import keras
import keras_vatt
model = keras.saving.load_model(sys.argv[1])
assert type(model) is keras_vatt.VATT
"""


def test_importing_the_package_alone_gives_its_submodules_on_first_use():
    process = run(_RESOLVE_SUBMODULES)
    assert process.returncode == 0, process.stderr


def test_a_saved_model_loads_after_importing_the_package_alone(tmp_path):
    from tests.models.tiny import tiny_vatt

    path = tmp_path / "model.keras"
    tiny_vatt().save(path)
    process = run(_LOAD_MODEL, path)
    assert process.returncode == 0, process.stderr
