"""The scripts in `benchmarks/` import only names that exist; CI does not run them."""

import ast
import importlib
import pathlib

import pytest

pytestmark = pytest.mark.once

_FOLDER = pathlib.Path(__file__).parents[1] / "benchmarks"
_SCRIPTS = sorted(_FOLDER.rglob("*.py"))
_SCRIPT_OF_NAME = {path.stem: path for path in _SCRIPTS}


def _imported_names(path):
    """Yields the pairs of module and name of the script's `from ... import ...`."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield from ((node.module, alias.name) for alias in node.names)


def _defined_names(path):
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign):
            yield from (t.id for t in node.targets if isinstance(t, ast.Name))
        yield getattr(node, "name", None)


def _exists(module, name):
    if module in _SCRIPT_OF_NAME:
        return name in _defined_names(_SCRIPT_OF_NAME[module])
    if hasattr(importlib.import_module(module), name):
        return True
    return importlib.util.find_spec(f"{module}.{name}") is not None


@pytest.mark.parametrize("path", _SCRIPTS, ids=lambda path: path.stem)
def test_imported_names_exist(path):
    ours = [
        (module, name)
        for module, name in _imported_names(path)
        if module in _SCRIPT_OF_NAME or module.split(".")[0] == "keras_vatt"
    ]
    assert [pair for pair in ours if not _exists(*pair)] == []
