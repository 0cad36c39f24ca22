"""Collects the names and examples in README, guides, docstrings and model cards."""

import ast
import pathlib
import re
import textwrap

ROOT = pathlib.Path(__file__).parents[1]
_DOTTED = re.compile(r"(?<![\w./-])keras_vatt(?:\.[A-Za-z_]\w*)+")
_IMPORT = re.compile(r"from (keras_vatt[\w.]*) import (\([^)]*\)|[^\n#]+)")


def documents():
    """Dict from a label to the text of each document that users read."""
    paths = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md"]
    paths += sorted((ROOT / "guides").glob("*.*"))
    paths += sorted((ROOT / "presets").glob("*/README.md"))
    texts = {_label(path): path.read_text("utf-8") for path in paths if path.exists()}
    return texts | dict(docstrings())


def docstrings():
    """Pairs of label and text of each docstring in the package."""
    for path in sorted((ROOT / "keras_vatt").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            kinds = ast.Module | ast.ClassDef | ast.FunctionDef
            text = ast.get_docstring(node) if isinstance(node, kinds) else None
            if text:
                name = getattr(node, "name", "")
                yield f"{_label(path)}:{name}", text


def names_in(text):
    """Set of the dotted names of the package in a text, imports included."""
    names = set(_DOTTED.findall(text))
    for module, imported in _IMPORT.findall(text):
        for name in imported.strip("() \n").split(","):
            if name.strip():
                names.add(f"{module}.{name.split(' as ')[0].strip()}")
    return {name for name in names if not name.endswith((".py", ".md"))}


def examples_in(text):
    """List of the Python blocks in a text."""
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    return [textwrap.dedent(block) for block in blocks]


def _label(path):
    return path.relative_to(ROOT).as_posix()
