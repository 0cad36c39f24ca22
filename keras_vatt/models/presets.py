"""Models from presets, and presets from models."""

import inspect
import json

import keras

from keras_vatt.storage import PresetError, load_weights, save_weights, write_folder
from keras_vatt.storage.preset_folder import (
    PresetFolder,
    built_in_presets,
    class_of,
    write_preset,
)


class LoadsFromPreset:
    """What backbones and tasks share: `from_preset`, `save_to_preset`, `presets`."""

    @classmethod
    def from_preset(cls, preset, load_weights=True, dtype=None, **kwargs):
        """A model from a preset.

        Args:
            preset: string or path. The name of a built-in preset, a folder, or
                `hf://owner/name` with an optional `@revision`.
            load_weights: bool. `False` gives random weights. Defaults to `True`.
            dtype: string or `keras.DTypePolicy`. Defaults to `None`, the preset's.
            **kwargs: arguments of the class or of its backbone, which win over
                those of the preset.

        Returns:
            An instance of the class. A base class gives the class of the preset.

        Raises:
            PresetError: if there is no such preset, or it doesn't fit the class, or
                has no weights.
            WeightsMismatchError: if its weights don't fit the model.

        Example:
        ```python
        model = keras_vatt.VATT.from_preset("vatt_tiny_agnostic", load_weights=False)
        ```
        """
        folder = PresetFolder(preset)
        if load_weights and not folder.has_weights:
            raise PresetError(
                f"The preset {folder.name!r} has no weights. Pass "
                "`load_weights=False` to start from random ones, or make a preset "
                "from a checkpoint of the original VATT code: `keras-vatt convert "
                f"--from CHECKPOINT_PREFIX --config {folder.path.name} "
                "--output FOLDER`"
            )
        model = cls._model_from_preset(folder, dtype, kwargs)
        if kwargs:
            raise PresetError(
                f"Neither {cls.__name__} nor its backbone takes {sorted(kwargs)}"
            )
        if load_weights:
            _load_own_weights(model, folder)
        return model

    def save_to_preset(self, folder):
        """Save the model, with its preprocessor and tokenizer if it has them.

        The folder is written aside and takes its place once it is whole. An earlier
        preset there is replaced; anything else is left alone.

        Args:
            folder: string or path.

        Raises:
            PresetError: if the folder holds something that is no preset.
        """
        is_task = hasattr(self, "backbone")
        with write_folder(folder) as partial:
            write_preset(
                partial,
                backbone=self.backbone if is_task else self,
                task=self if is_task else None,
                preprocessor=self.preprocessor if is_task else None,
            )
            save_weights(self, partial / "model.safetensors")


class BackboneFromPreset(LoadsFromPreset):
    """A backbone that loads from presets."""

    @classmethod
    def _model_from_preset(cls, folder, dtype, overrides):
        config = folder.read_backbone()
        found = class_of(config)
        if not issubclass(found, cls):
            raise PresetError(
                f"The preset {folder.name!r} has a {found.__name__}, no {cls.__name__}"
            )
        own = _taken(found, overrides)
        if dtype is not None:
            own["dtype"] = dtype
        return found.from_config(config["config"] | own)


class TaskFromPreset(LoadsFromPreset):
    """A backbone with something around it that loads from presets.

    A preset of another task gives its backbone, under new weights of this one.
    """

    @classmethod
    def _model_from_preset(cls, folder, dtype, overrides):
        saved = folder.read_task()
        own = _taken(cls, overrides)
        config = {}
        if saved is not None and class_of(saved) is cls:
            config = saved["config"]
        if dtype is not None and "bridge_head" in config:
            head = config["bridge_head"]
            head["config"] = head["config"] | {"dtype": _serialized(dtype)}
        backbone = own.pop("backbone", None)
        if backbone is None:
            backbone = cls.backbone_cls._model_from_preset(folder, dtype, overrides)
        preprocessor = own.pop("preprocessor", None) or folder.load_preprocessor()
        config = config | own | {"backbone": backbone, "preprocessor": preprocessor}
        missing = _required(cls) - set(config)
        if missing:
            raise PresetError(
                f"The preset {folder.name!r} is of another task: {cls.__name__} also "
                f"needs {sorted(missing)}"
            )
        return cls.from_config(config)


def describe_presets():
    """What the built-in presets are.

    Returns:
        Dict from name to a dict of `"description"`, `"parameters"` (an int),
        `"has_weights"` and `"inputs"`, what a clip is.
    """
    return {name: _describe(PresetFolder(name)) for name in built_in_presets()}


def _describe(folder):
    metadata = json.loads((folder.path / "metadata.json").read_text("utf-8"))
    backbone = folder.read_backbone()
    return {
        "description": metadata.get("description", ""),
        "parameters": metadata["parameters"],
        "has_weights": folder.has_weights,
        "modalities": backbone["config"]["modalities"],
    }


def _load_own_weights(model, folder):
    saved = folder.read_task()
    of_this_task = saved is not None and class_of(saved) is type(model)
    if of_this_task:
        load_weights(model, folder.weights_path)
        return
    # Of another task only the backbone is this model's too.
    backbone = getattr(model, "backbone", model)
    other = () if saved is None else ("bridge_head/", "classifier/")
    load_weights(backbone, folder.weights_path, ignored_prefixes=other)


def _taken(cls, arguments):
    """Move those arguments that a class's constructor takes out of a dict."""
    names = set(inspect.signature(cls.__init__).parameters) & set(arguments)
    return {name: arguments.pop(name) for name in names}


def _required(cls):
    parameters = inspect.signature(cls.__init__).parameters.values()
    return {
        p.name
        for p in parameters
        if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD
    } - {"self"}


def _serialized(dtype):
    return keras.saving.serialize_keras_object(keras.dtype_policies.get(dtype))
