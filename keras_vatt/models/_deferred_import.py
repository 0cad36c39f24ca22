"""Imports of modules that are deferred until one of their attributes is used."""

import contextlib
import importlib
import importlib.util
import sys
import types


@contextlib.contextmanager
def deferred_imports(*names):
    """Defers `import name` inside a `with` block until `name.attribute` is used.

    The block has no effect on modules that are already imported or not installed. After
    the block, other code imports the real modules.

    Args:
        *names: strings, names of top-level modules.
    """
    deferred = {
        name: _DeferredModule(name)
        for name in names
        if name not in sys.modules and importlib.util.find_spec(name) is not None
    }
    sys.modules.update(deferred)
    try:
        yield
    finally:
        for name, module in deferred.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]
            object.__setattr__(module, "_is_deferred", False)


class _DeferredModule(types.ModuleType):
    """A module whose attributes are those of the module of the same name."""

    def __init__(self, name):
        super().__init__(name)
        self._is_deferred = True

    def __mro_entries__(self, bases):
        # KerasHub's cache of byte pairs extends `tf.Module` if there is TensorFlow,
        # and `object` if there is none.
        return ()

    def __getattr__(self, name):
        if self._is_deferred:
            # Not a special attribute, for which Python asks while it imports.
            if name.startswith("__"):
                raise AttributeError(name)
            return _DeferredModule(f"{self.__name__}.{name}")
        return getattr(importlib.import_module(self.__name__), name)
