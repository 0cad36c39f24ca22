"""Loads and saves tasks (a backbone with a head) as presets."""

from typing import Any

import keras

from keras_vatt.models._preset_configs import (
    constructing,
    read_config,
    required_arguments,
    saved_modalities,
    take_arguments,
)
from keras_vatt.models._preset_list import registered_class
from keras_vatt.models._preset_loading import LoadsFromPreset
from keras_vatt.models._preset_preprocessor import (
    check_vocabulary_size,
    load_preprocessor,
)
from keras_vatt.models._preset_saving import SavesToPreset
from keras_vatt.storage import PresetError, PresetFolder
from keras_vatt.storage import _preset_files as files
from keras_vatt.storage._config_guard import class_of
from keras_vatt.storage._parameter_limits import (
    available_parameters,
    check_parameters,
)


class TaskFromPreset(LoadsFromPreset, SavesToPreset):
    """Mixin of the tasks that load from presets.

    From a preset of another task only the backbone is loaded, and the head gets new
    weights. The same holds if the preset has this task with a head that doesn't fit the
    arguments. A task of one modality then loads only that modality's part of the
    backbone.
    """

    modality = None

    @classmethod
    def keeps_head(cls, saved: dict[str, Any], asked: dict[str, Any]) -> bool:
        """Returns whether the head of a preset fits the arguments of a model.

        Args:
            saved: dict, the config of a preset of this class.
            asked: dict of arguments of this class.

        Returns:
            bool.
        """
        return True

    @classmethod
    def _model_from_preset(cls, folder, tensors, dtype, overrides):
        own = take_arguments(cls, overrides)
        config = cls._head_config(folder, own)
        backbone = own.pop("backbone", None)
        if backbone is None:
            if not config and cls.modality in saved_modalities(folder):
                overrides.setdefault("modalities", (cls.modality,))
            backbone = cls.backbone_cls._model_from_preset(
                folder, tensors, dtype, overrides
            )
        preprocessor = own.pop("preprocessor", None)
        if preprocessor is None:
            preprocessor = load_preprocessor(folder)
            check_vocabulary_size(preprocessor, backbone, folder)
        missing = required_arguments(cls) - {"backbone", *config, *own}
        if missing:
            raise PresetError(
                f"The preset {folder.name!r} has no head for {cls.__name__}. Pass "
                f"{sorted(missing)} to make a new one"
            )
        with constructing(folder):
            widest = max(backbone.feature_dims.values()) * _largest(config)
            check_parameters(widest, available_parameters(tensors), folder.name)
            if dtype is not None and "bridge_head" in config:
                config["bridge_head"]["config"]["dtype"] = _serialized(dtype)
            own |= {"backbone": backbone, "preprocessor": preprocessor}
            return cls.from_config(config | own)

    @classmethod
    def _head_config(cls, folder, arguments):
        """Returns the config of the preset's head; empty if it is not to be loaded."""
        saved = read_config(folder, files.TASK)
        if saved is None or class_of(saved, TaskFromPreset, files.TASK) is not cls:
            return {}
        with constructing(folder):
            config = saved["config"]
            return config if cls.keeps_head(config, arguments) else {}

    @classmethod
    def _can_load(cls, description):
        return issubclass(registered_class(description["class"]), cls)


def task_class(folder):
    """Returns the class of the task in a preset.

    Args:
        folder: `PresetFolder`.

    Raises:
        PresetError: if the preset holds no task.
    """
    config = read_config(folder, files.TASK)
    if config is None:
        raise PresetError(f"The preset {folder.name!r} is a backbone without a task")
    return class_of(config, TaskFromPreset, files.TASK)


def load_task(preset):
    """Loads the task of a preset, of whatever class it is.

    Args:
        preset: string or path; see `keras_vatt.VATT.from_preset`.
    """
    cls = task_class(PresetFolder(preset, with_weights=False))
    return cls.from_preset(preset)


def _largest(config):
    """Returns the largest integer in a config, at least 1."""
    if isinstance(config, dict | list):
        entries = config.values() if isinstance(config, dict) else config
        return max((_largest(entry) for entry in entries), default=1)
    return config if isinstance(config, int) and config > 1 else 1


def _serialized(dtype):
    return keras.saving.serialize_keras_object(keras.dtype_policies.get(dtype))
