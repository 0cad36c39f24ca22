"""Lazy attributes of a package, which are imported on first access."""

import importlib
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any


def lazy_attributes(
    package: str, submodules: Iterable[str] = (), objects: Mapping[str, str] = {}
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Returns the functions `__getattr__` and `__dir__` of a package; see PEP 562.

    Args:
        package: string, the `__name__` of the package.
        submodules: strings, names of submodules. Defaults to `()`.
        objects: dict from the name of an object to the name of its module. Defaults
            to `{}`.

    Returns:
        Tuple of two functions.
    """

    def get_attribute(name):
        if name in objects:
            value = getattr(importlib.import_module(objects[name]), name)
        elif name in submodules:
            value = importlib.import_module(f"{package}.{name}")
        else:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        # Later accesses find it in the package.
        setattr(sys.modules[package], name, value)
        return value

    def list_attributes():
        return sorted({*vars(sys.modules[package]), *submodules, *objects})

    return get_attribute, list_attributes
