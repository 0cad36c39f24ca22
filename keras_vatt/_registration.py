"""Registers the classes of this package with Keras once Keras is imported.

Keras and KerasHub look up the classes in a saved model or a preset by their registered
names, and import no modules of other packages. So the modules with registered classes
must be there whenever Keras is, but `import keras_vatt` must not import Keras.
"""

import importlib
import importlib.abc
import importlib.util
import sys

_REGISTERED = ("harmonization", "layers", "losses", "models", "training")


def register_with_keras() -> None:
    """Imports the modules with registered classes, at once or right after Keras."""
    if "keras" in sys.modules:
        _import_registered()
    else:
        sys.meta_path.insert(0, _KerasFinder())


def _import_registered():
    for name in _REGISTERED:
        importlib.import_module(f"keras_vatt.{name}")


class _KerasFinder(importlib.abc.MetaPathFinder):
    """Finds Keras as Python does, with a loader that registers our classes after it."""

    def find_spec(self, name, path, target=None):
        if name != "keras":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None:
            spec.loader = _KerasLoader(spec.loader)
        return spec


class _KerasLoader(importlib.abc.Loader):
    def __init__(self, loader):
        self._loader = loader

    def __getattr__(self, name):
        return getattr(self._loader, name)

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def exec_module(self, module):
        # Tools such as `importlib.resources` ask the module for its own loader.
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        _import_registered()
