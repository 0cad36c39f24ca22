"""Checks the configs of presets, which may come from strangers."""

import inspect
import re

import keras

from keras_vatt.storage import _config_limits as limits
from keras_vatt.storage._config_rules import is_plain, rule_of
from keras_vatt.storage._preset_files import PresetError

_OBJECT = ("module", "class_name", "config", "registered_name")
# Arguments that Keras and KerasHub add to those of a layer's constructor.
_COMMON = {"name", "trainable", "dtype", "config_file"}
# Their vocabularies are stored in the assets of a preset.
TOKENIZERS = ("VATTTokenizer", "VATTWordPieceTokenizer")
# Arguments that are objects, and the classes that they may have.
_PARTS = {
    "bridge_head": ("FactorizedBridgeHead", "JointBridgeHead"),
    "tokenizer": TOKENIZERS,
    "video_converter": ("VATTVideoConverter",),
    "audio_converter": ("VATTAudioConverter",),
}
_ENCODERS = ("video_encoder", "audio_encoder", "text_encoder")


def check_config(config, name):
    """Refuses an untrusted config before anything is constructed from it.

    A config may only name the registered classes of this package, each in its place,
    and the dtype policies of Keras. It may only have the arguments of these classes,
    with numbers within the limits of `_config_limits`. Entries that would make Keras
    build or compile something are removed in place.

    Args:
        config: dict, the content of a JSON file.
        name: string, the file, for the message.

    Raises:
        PresetError: if the config has anything else.
    """
    _check_object(config, name, None)


def class_of(config, kind, name):
    """Returns the registered class of a config.

    Args:
        config: dict with a `registered_name`.
        kind: class, of which it must be a subclass.
        name: string, the file, for the message.

    Raises:
        PresetError: if there is no such class, or it is not a subclass of `kind`.
    """
    registered_name = config.get("registered_name")
    cls = _registered(registered_name)
    if cls is None or not isinstance(config.get("config"), dict):
        raise PresetError(f"{name!r} has an unknown class: {registered_name!r:.100}")
    if not issubclass(cls, kind):
        raise PresetError(f"{name!r} has a {cls.__name__}, not a {kind.__name__}")
    return cls


def _check_object(node, name, allowed):
    """Checks an object and its parts; removes what is not part of it in place."""
    cls = _own_class(node, allowed)
    arguments = node.get("config") if isinstance(node, dict) else None
    if cls is None or not isinstance(arguments, dict):
        raise PresetError(
            f"{name!r} has {_description(node)} where it isn't allowed: presets may "
            "only use the models and layers of keras_vatt and the dtype policies of "
            "Keras"
        )
    _keep_only(node, _OBJECT)
    unknown = set(arguments) - _COMMON - set(inspect.signature(cls.__init__).parameters)
    if unknown:
        shown = ", ".join(sorted(f"{key!r:.50}" for key in unknown)[:5])
        raise PresetError(f"{name!r} has unknown arguments of {cls.__name__}: {shown}")
    for key, value in arguments.items():
        _check_argument(key, value, name)
    _check_clip(arguments, name)


def _own_class(node, allowed):
    """Returns the class of an object; `None` if it is not one of the allowed."""
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
            _require(size in limits.ENCODER_SETTINGS, name, size, number, "a size")
            _check_argument(size, number, name)
    else:
        rule = rule_of(key)
        _require(rule.allows(value), name, key, value, rule.expected)


def _check_clip(arguments, name):
    frames, size = (arguments.get(key, 1) for key in ("num_frames", "frame_size"))
    if frames * size * size * 3 > limits.MAX_CLIP_BYTES:
        raise PresetError(
            f"{name!r} has clips of {frames:,} frames of {size:,} x {size:,} pixels, "
            f"more than the limit of {limits.MAX_CLIP_BYTES:,} bytes"
        )


def _check_dtype(value, name):
    """Checks a dtype: a name, a policy of Keras, or a map from layers to policies."""
    if value is None or isinstance(value, str) and len(value) <= 50:
        return
    _require(_is_policy(value), name, "dtype", value, "a dtype policy of Keras")
    _keep_only(value, _OBJECT)
    config = value["config"]
    policies = config.get("policy_map") or {}
    _check_policy_map(policies, name)
    for part in (config.get("default_policy"), *policies.values()):
        _check_dtype(part, name)
    others = [config[k] for k in set(config) - {"policy_map", "default_policy"}]
    _require(all(map(is_plain, others)), name, "dtype", others, "names and numbers")


def _check_policy_map(policies, name):
    """Refuses keys that are not layer paths: Keras uses the keys as patterns."""
    is_map = isinstance(policies, dict) and len(policies) <= limits.MAX_POLICIES
    if not is_map or not all(re.fullmatch(r"[\w/.-]{1,500}", key) for key in policies):
        raise PresetError(
            f"{name!r} has dtypes of what are not layer paths, or of more than "
            f"{limits.MAX_POLICIES} layers"
        )


def _require(fits, name, key, value, expected):
    if not fits:
        raise PresetError(
            f"{name!r} sets {key!r} to {value!r:.100}: expected {expected}"
        )


def _keep_only(node, keys):
    for extra in set(node) - set(keys):
        del node[extra]


def _is_policy(node):
    if not isinstance(node, dict) or not isinstance(node.get("config"), dict):
        return False
    if node.get("module") not in ("keras", "keras.dtype_policies"):
        return False
    cls = getattr(keras.dtype_policies, str(node.get("class_name")), None)
    is_policy = isinstance(cls, type) and issubclass(cls, keras.DTypePolicy)
    return is_policy and node.get("registered_name") is None


def _description(node):
    if not isinstance(node, dict) or "class_name" not in node:
        return f"{node!r:.100}"
    return f"the class {node['class_name']!r:.100} of {node.get('module')!r:.100}"


def _registered(name):
    if not isinstance(name, str) or not name.startswith("keras_vatt>"):
        return None
    cls = keras.saving.get_registered_object(name)
    return cls if isinstance(cls, type) else None
