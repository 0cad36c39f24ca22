"""What a config from a preset may ask for: known classes, sizes within reason."""

import inspect
import math
import re

import keras

from keras_vatt.storage import _config_limits as limits
from keras_vatt.storage._memory_size import physical_memory
from keras_vatt.storage._preset_files import PresetError

_MAX_NUMBER = 2**31
_OBJECT = ("module", "class_name", "config", "registered_name")
# What Keras and KerasHub give each layer besides its own arguments.
_COMMON = {"name", "trainable", "dtype", "config_file"}
# Which objects may be arguments of others.
_PARTS = {
    "bridge_head": ("FactorizedBridgeHead", "JointBridgeHead"),
    "tokenizer": ("VATTTokenizer",),
    "video_converter": ("VATTVideoConverter",),
    "audio_converter": ("VATTAudioConverter",),
}
_ENCODERS = ("video_encoder", "audio_encoder", "text_encoder")
_KINDS = {
    "vocabulary": "expected a list of words; no file is read",
    "class_names": "expected a list of strings",
    "modalities": "expected a list of up to three strings",
    "name": "expected a string of up to 200 characters",
    "config_file": "expected the name of a JSON file of the preset",
}
_FLAGS = ("trainable", "trainable_word_embedding", "rematerialize", "multi_label")


def check_config(config, name):
    """Refuse a config before anything is made of it.

    Only the classes of this package that are registered with Keras, each where it
    belongs, and Keras' dtype policies may be named, and only arguments that these
    classes take. Numbers must be of a size that a model could have. What Keras would
    build or compile besides is taken out.

    Args:
        config: dict, the content of a JSON file.
        name: string, the file, for the message.

    Raises:
        PresetError: if the config asks for anything else.
    """
    _check_object(config, name, None)


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
            f"{name!r} is of a class that is not known here: {registered_name!r:.100}"
        )
    if not issubclass(cls, kind):
        raise PresetError(f"{name!r} has a {cls.__name__}, no {kind.__name__}")
    return cls


def check_parameters(minimum, available, name):
    """Refuse sizes that can't fit what is there, before any memory is taken.

    Args:
        minimum: int, parameters that a model of these sizes has at least.
        available: int, see `available_parameters`.
        name: string, the preset, for the message.

    Raises:
        PresetError: if `minimum` is more.
    """
    if minimum > available:
        raise PresetError(
            f"The config of the preset {name!r} asks for at least {minimum:,} "
            f"parameters; there are {available:,} in its weights, or fit into memory"
        )


def available_parameters(tensors=None):
    """Number of parameters that a model may have.

    Args:
        tensors: dict of `StoredTensor`, the weights. Defaults to `None`, random ones:
            as many as fit half of the memory, and a billion at most.

    Returns:
        int.
    """
    if tensors is not None:
        return sum(math.prod(tensor.shape) for tensor in tensors.values())
    return min(limits.MAX_RANDOM_PARAMETERS, physical_memory() // 8)


def _check_object(node, name, allowed):
    """Check an object, in place, and all that it is made of."""
    cls = _own_class(node, allowed)
    arguments = node.get("config") if isinstance(node, dict) else None
    if cls is None or not isinstance(arguments, dict):
        raise PresetError(
            f"{name!r} asks for {_description(node)} where it may not; presets may "
            "only use the models and layers of keras_vatt and the dtype policies of "
            "Keras"
        )
    for extra in set(node) - set(_OBJECT):
        del node[extra]
    unknown = set(arguments) - _COMMON - set(inspect.signature(cls.__init__).parameters)
    if unknown:
        shown = ", ".join(sorted(f"{key!r:.50}" for key in unknown)[:5])
        raise PresetError(f"{name!r} has arguments that {cls.__name__} lacks: {shown}")
    for key, value in arguments.items():
        _check_argument(key, value, name)
    _check_clip(arguments, name)


def _own_class(node, allowed):
    """The class of this package that an object is of, if it may stand there."""
    if not isinstance(node, dict):
        return None
    cls = _registered(node.get("registered_name"))
    is_known = cls is not None and cls.__name__ == node.get("class_name")
    is_allowed = is_known and (allowed is None or cls.__name__ in allowed)
    return cls if is_allowed else None


def _check_argument(key, value, name):
    if key in _PARTS:
        if value is not None:
            _check_object(value, name, _PARTS[key])
    elif key == "dtype":
        _check_dtype(value, name)
    elif key in _ENCODERS and isinstance(value, dict):
        for size, number in value.items():
            _require(size in limits.SIZES, name, size, number, "a size")
            _check_argument(size, number, name)
    elif not _fits(key, value):
        raise PresetError(f"{name!r} sets {key!r} to {value!r:.100}: {_expected(key)}")


def _fits(key, value):
    """Returns whether a value may be that of an argument."""
    if key in limits.SIZES:
        return _is_size(value, limits.SIZES[key])
    if key in limits.TRIPLES:
        is_triple = isinstance(value, list) and len(value) == 3
        return is_triple and all(_is_size(v, limits.TRIPLES[key]) for v in value)
    if key in limits.RANGES:
        least, most = limits.RANGES[key]
        return _is_number(value) and least <= value <= most
    if key in _FLAGS:
        return isinstance(value, bool)
    return _fits_kind(key, value)


def _fits_kind(key, value):
    if key == "name":
        return value is None or isinstance(value, str) and len(value) <= 200
    if key == "config_file":  # It is written when the preset is saved.
        return isinstance(value, str) and re.fullmatch(r"\w{1,50}\.json", value)
    if key == "modalities":
        return isinstance(value, list) and len(value) <= 3 and _are_strings(value)
    if key in ("vocabulary", "class_names"):
        return value is None or isinstance(value, list) and _are_strings(value)
    return value is None or isinstance(value, str | bool) or _is_number(value)


def _expected(key):
    if key in limits.SIZES:
        return f"expected an integer from 1 to {limits.SIZES[key]:,}"
    if key in limits.TRIPLES:
        return f"expected three integers from 1 to {limits.TRIPLES[key]:,}"
    if key in _FLAGS:
        return "expected a boolean"
    if key in limits.RANGES:
        least, most = limits.RANGES[key]
        return f"expected a number from {least:g} to {most:g}"
    return _KINDS.get(key, "expected a string, a boolean or a number below 2**31")


def _check_clip(arguments, name):
    frames, size = (arguments.get(key, 1) for key in ("num_frames", "frame_size"))
    if frames * size * size * 3 > limits.MAX_CLIP_BYTES:
        raise PresetError(
            f"{name!r} asks for clips of {frames:,} frames of {size:,} x {size:,} "
            f"pixels: they may have {limits.MAX_CLIP_BYTES:,} bytes"
        )


def _check_dtype(value, name):
    """A dtype is a name or a policy of Keras, or a map of layers to such."""
    if value is None or isinstance(value, str) and len(value) <= 50:
        return
    _require(_is_policy(value), name, "dtype", value, "a dtype policy of Keras")
    for extra in set(value) - set(_OBJECT):
        del value[extra]
    config = value["config"]
    policies = config.get("policy_map") or {}
    _check_policy_map(policies, name)
    for part in (config.get("default_policy"), *policies.values()):
        _check_dtype(part, name)
    others = [config[k] for k in set(config) - {"policy_map", "default_policy"}]
    is_plain = all(_fits(None, other) for other in others)
    _require(is_plain, name, "dtype", others, "names and numbers")


def _check_policy_map(policies, name):
    """Refuse what is no path of a layer: Keras takes the keys for patterns."""
    is_map = isinstance(policies, dict) and len(policies) <= limits.MAX_POLICIES
    if not is_map or not all(re.fullmatch(r"[\w/.-]{1,500}", key) for key in policies):
        raise PresetError(
            f"{name!r} has dtypes for what are no paths of layers, or for more than "
            f"{limits.MAX_POLICIES} of them"
        )


def _require(fits, name, key, value, expected):
    if not fits:
        raise PresetError(
            f"{name!r} sets {key!r} to {value!r:.100}: expected {expected}"
        )


def _is_policy(node):
    if not isinstance(node, dict) or not isinstance(node.get("config"), dict):
        return False
    if node.get("module") not in ("keras", "keras.dtype_policies"):
        return False
    cls = getattr(keras.dtype_policies, str(node.get("class_name")), None)
    is_policy = isinstance(cls, type) and issubclass(cls, keras.DTypePolicy)
    return is_policy and node.get("registered_name") is None


def _is_size(value, most):
    is_int = isinstance(value, int) and not isinstance(value, bool)
    return is_int and 1 <= value <= most


def _is_number(value):
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and abs(value) < _MAX_NUMBER


def _are_strings(values):
    return all(isinstance(value, str) for value in values)


def _description(node):
    if not isinstance(node, dict) or "class_name" not in node:
        return f"{node!r:.100}"
    return f"the class {node['class_name']!r:.100} of {node.get('module')!r:.100}"


def _registered(name):
    if not isinstance(name, str) or not name.startswith("keras_vatt>"):
        return None
    cls = keras.saving.get_registered_object(name)
    return cls if isinstance(cls, type) else None
