"""The data package imports no backend and no other package of the library."""

import ast
import pathlib

import pytest

import keras_vatt.data

FOLDER = pathlib.Path(keras_vatt.data.__file__).parent
FILES = sorted(FOLDER.rglob("*.py"))


def module_of(path):
    """Returns the name of a module within the data package."""
    return ".".join(path.relative_to(FOLDER).with_suffix("").parts)


def imports_of(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            yield node.module


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_a_file_imports_no_backend_and_no_other_package(path):
    imports = set(imports_of(path))
    roots = {name.split(".")[0] for name in imports}
    assert not roots & {"keras", "keras_nlp", "keras_hub", "tensorflow", "jax", "torch"}
    own = {name for name in imports if name.split(".")[0] == "keras_vatt"}
    assert all(name.startswith(("keras_vatt.data", "keras_vatt._")) for name in own)


def test_the_modules_that_all_packages_share_import_no_package():
    for path in FOLDER.parent.glob("_*.py"):
        own = {name for name in imports_of(path) if name.startswith("keras_vatt")}
        if path.name != "__init__.py":
            assert all(name.startswith("keras_vatt._") for name in own), path.name


def test_imports_point_one_way():
    graph = {
        module_of(path): {
            name.removeprefix("keras_vatt.data.")
            for name in imports_of(path)
            if name.startswith("keras_vatt.data.")
        }
        for path in FILES
    }
    while graph:
        leaves = {name for name, imported in graph.items() if not imported & set(graph)}
        assert leaves, f"a circle among {sorted(graph)}"
        graph = {name: graph[name] for name in graph.keys() - leaves}


def test_all_public_names_are_there_and_sorted():
    names = keras_vatt.data.__all__
    assert names == sorted(names)
    assert all(hasattr(keras_vatt.data, name) for name in names)
