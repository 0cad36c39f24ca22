"""Reads the configs of a preset and fits them to the constructors of classes."""

import contextlib
import inspect

from keras_vatt.storage import PresetError
from keras_vatt.storage import _preset_files as files
from keras_vatt.storage._config_guard import check_config

# Errors that a damaged or hostile config causes in a constructor.
_CONSTRUCTION_ERRORS = (TypeError, ValueError, LookupError, AttributeError)
_CONSTRUCTION_ERRORS += (ArithmeticError, RecursionError, AssertionError, OSError)


def read_config(folder, name):
    """Reads a config of a preset and checks it.

    Args:
        folder: `PresetFolder`.
        name: string, the file name.

    Returns:
        Dict; `None` if the preset has no such file.

    Raises:
        PresetError: if the file can't be read, or `check_config` refuses its content.
    """
    config = folder.read(name)
    if config is not None:
        check_config(config, str(folder.path / name))
    return config


@contextlib.contextmanager
def constructing(folder):
    """Turns the errors of a constructor into a `PresetError` with the preset's name.

    Args:
        folder: `PresetFolder` whose configs the constructor gets.
    """
    try:
        yield
    except PresetError:
        raise
    except _CONSTRUCTION_ERRORS as error:
        raise PresetError(
            f"The configs of the preset {folder.name!r} can't be used: {error}"
        ) from error


def saved_modalities(folder):
    """Returns the modalities of a preset's backbone; none if its config is damaged.

    Args:
        folder: `PresetFolder`.
    """
    saved = read_config(folder, files.BACKBONE)
    config = saved.get("config") if isinstance(saved, dict) else None
    modalities = config.get("modalities") if isinstance(config, dict) else None
    return modalities if isinstance(modalities, list) else ()


def default_arguments(cls):
    """Returns a dict of the arguments of a constructor that have defaults."""
    return {
        parameter.name: parameter.default
        for parameter in inspect.signature(cls.__init__).parameters.values()
        if parameter.default is not parameter.empty
    }


def required_arguments(cls):
    """Returns the set of names of the arguments of a constructor without defaults."""
    parameters = inspect.signature(cls.__init__).parameters.values()
    return {
        parameter.name
        for parameter in parameters
        if parameter.default is parameter.empty
        and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    } - {"self"}


def take_arguments(cls, arguments):
    """Removes the arguments of a constructor from a dict, and returns them as a dict.

    Args:
        cls: class.
        arguments: dict, which keeps the other arguments.
    """
    names = set(inspect.signature(cls.__init__).parameters) & set(arguments)
    return {name: arguments.pop(name) for name in names}
