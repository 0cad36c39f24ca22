"""What a config from a preset may ask for: known classes, sizes within reason."""

import re

import keras

from keras_vatt.storage.preset_files import PresetError

_MAX_SIZE = 2**31
_MAX_LAYERS = 1000


def check_config(config, name):
    """Refuse a config before anything is made of it.

    Only the classes of this package that are registered with Keras, and Keras' dtype
    policies, may be named. Numbers must be finite and of a size that a model could
    have. What Keras would build or compile besides is taken out.

    Args:
        config: dict, the content of a JSON file.
        name: string, the file, for the message.

    Raises:
        PresetError: if the config asks for anything else.
    """
    for key, value in _entries(config):
        if isinstance(value, dict):
            value.pop("build_config", None)
            value.pop("compile_config", None)
            if "class_name" in value:
                _check_class(value, name)
        if isinstance(value, int | float) and not abs(value) < _MAX_SIZE:
            raise PresetError(f"{name!r} sets {key!r} to {value}")
        if key == "policy_map":
            _check_policy_map(value, name)
        if key == "num_layers" and not (isinstance(value, int) and value < _MAX_LAYERS):
            raise PresetError(f"{name!r} asks for {value} layers")


def class_of(config, kind, name):
    """The registered class that a config is for.

    Args:
        config: dict with a `registered_name`.
        kind: class of which it has to be a subclass.
        name: string, the file, for the message.

    Raises:
        PresetError: if there is none, or it is of another kind.
    """
    registered_name = config.get("registered_name")
    cls = _registered(registered_name)
    if cls is None or not isinstance(config.get("config"), dict):
        raise PresetError(
            f"{name!r} is of a class that is not known here: {registered_name!r}"
        )
    if not issubclass(cls, kind):
        raise PresetError(f"{name!r} has a {cls.__name__}, no {kind.__name__}")
    return cls


def check_parameters(minimum, available, name):
    """Refuse sizes that can't fit what is there, before any memory is taken.

    Args:
        minimum: int, parameters that a model of these sizes has at least.
        available: int, numbers in the weights files, or that fit into the memory.
        name: string, the preset, for the message.

    Raises:
        PresetError: if `minimum` is more.
    """
    if minimum > available:
        raise PresetError(
            f"The config of the preset {name!r} asks for at least {minimum:,} "
            f"parameters; there are {available:,} in its weights, or fit into memory"
        )


def _entries(node):
    """All entries of nested dicts and lists, each with the key that leads to it."""
    waiting = [("config", node)]
    while waiting:
        key, value = waiting.pop()
        yield key, value
        if isinstance(value, dict):
            waiting += value.items()
        if isinstance(value, list):
            waiting += [(key, entry) for entry in value]


def _check_policy_map(policies, name):
    """Refuse what is no path of a layer: Keras takes the keys for patterns."""
    is_map = policies is None or isinstance(policies, dict)
    if not is_map or not all(
        re.fullmatch(r"[\w/.-]+", path) for path in policies or {}
    ):
        raise PresetError(f"{name!r} has dtypes for what are no paths of layers")


def _check_class(config, name):
    if _is_dtype_policy(config) or _is_own(config):
        return
    raise PresetError(
        f"{name!r} asks for the class {config['class_name']!r} of "
        f"{config.get('module')!r}; presets may only use the models and layers of "
        "keras_vatt and the dtype policies of Keras"
    )


def _is_dtype_policy(config):
    if config.get("module") not in ("keras", "keras.dtype_policies"):
        return False
    cls = getattr(keras.dtype_policies, str(config["class_name"]), None)
    is_policy = isinstance(cls, type) and issubclass(cls, keras.DTypePolicy)
    return is_policy and config.get("registered_name") is None


def _is_own(config):
    cls = _registered(config.get("registered_name"))
    return cls is not None and cls.__name__ == config["class_name"]


def _registered(name):
    if not isinstance(name, str) or not name.startswith("keras_vatt>"):
        return None
    cls = keras.saving.get_registered_object(name)
    return cls if isinstance(cls, type) else None
