"""Registers the classes of this package with Keras."""

import importlib
import pathlib
import sys

_REGISTERED = ("harmonization", "layers", "losses", "models", "training")
_PROGRAM = "keras-vatt"


def register_classes() -> None:
    """Imports the modules with registered classes, and so also Keras.

    Keras and KerasHub look up the classes of a saved model or a preset by their
    registered names. They do not import the modules of other packages.
    """
    for name in _REGISTERED:
        importlib.import_module(f"keras_vatt.{name}")


def runs_command_line() -> bool:
    """Returns whether this process is `keras-vatt` or `python -m keras_vatt.cli.main`.

    The command line registers the classes when a command needs them, so that
    `keras-vatt --help` loads no backend.
    """
    program = getattr(sys, "argv", [""])[0]
    if program == "-m":
        # Python sets the name of the module only after importing its packages.
        module = sys.orig_argv[sys.orig_argv.index("-m") + 1]
        return module.startswith("keras_vatt.cli")
    return pathlib.Path(program).stem == _PROGRAM
