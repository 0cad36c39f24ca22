"""Loads models from presets."""

import contextlib
import importlib
import os
from typing import Any, Self

from keras_vatt._keras_internals import without_tensorflow
from keras_vatt.models._preset_configs import saved_modalities
from keras_vatt.models._preset_list import ListsPresets
from keras_vatt.models._preset_provenance import (
    HasProvenance,
    is_same_task,
    load_provenance,
)
from keras_vatt.storage import PresetError, PresetFolder, named_variables
from keras_vatt.storage import _preset_files as files
from keras_vatt.storage._deferred_weights import deferred_weights, register_parameters
from keras_vatt.storage._parameter_limits import (
    available_parameters,
    check_parameters,
)
from keras_vatt.storage._safetensors_weights import match_tensors


class LoadsFromPreset(ListsPresets, HasProvenance):
    """Mixin of the models that load from presets."""

    @classmethod
    @without_tensorflow()
    def from_preset(
        cls,
        preset: str | os.PathLike,
        load_weights: bool = True,
        dtype: Any = None,
        **kwargs,
    ) -> Self:
        """Loads a model from a preset.

        The first time, the weights of a built-in preset with a published checkpoint
        are downloaded and converted; see `keras_vatt.conversion.fetch_preset`.

        Args:
            preset: string or path. The name of a built-in preset, a folder, or
                `hf://owner/name` with an optional `@revision`.
            load_weights: bool. If `False`, the weights are random. As a preset may be
                untrusted, this is limited to a billion parameters and to half of the
                memory of the machine; to make a larger model, call the constructor of
                the class. Defaults to `True`.
            dtype: string or `keras.DTypePolicy`. Defaults to `None`, the dtype of the
                preset.
            **kwargs: arguments of the class or of its backbone that replace those of
                the preset, such as `modalities`.

        Returns:
            An instance of the class; for a base class, of the preset's class.

        Raises:
            PresetError: if the preset does not exist, is damaged, is for another class,
                has no weights although `load_weights` is `True`, or is too large; if
                its weights can't be downloaded; or if an argument is unknown.
            WeightsMismatchError: if its weights don't fit the model.

        Example:
        ```python
        model = keras_vatt.VATT.from_preset("vatt_tiny_agnostic")
        ```
        """
        folder = PresetFolder(preset, with_weights=load_weights)
        if load_weights and not folder.has_weights:
            if folder.is_published:
                cls._check_before_download(folder, dtype, kwargs)
            folder = _downloaded(folder)
        tensors = folder.stored_tensors() if load_weights else None
        available = available_parameters()
        # Variables are allocated only after their shapes and total size are checked.
        with deferred_weights() as pending:
            model = cls._checked_model(folder, tensors, dtype, kwargs)
            check_parameters(model.count_params(), available, folder.name)
            if load_weights:
                pending += _match_own_tensors(model, folder, tensors)
                folder.check_weights()
        register_parameters(model)
        if load_weights:
            load_provenance(model, folder, tensors)
        return model

    @classmethod
    def _check_before_download(cls, folder, dtype, overrides):
        """Raises the errors of a wrong class or argument before a long download."""
        with contextlib.suppress(_MadeForCheck), deferred_weights():
            cls._checked_model(folder, None, dtype, dict(overrides))
            # After an error, the variables are dropped and not initialized.
            raise _MadeForCheck

    @classmethod
    def _checked_model(cls, folder, tensors, dtype, overrides):
        model = cls._model_from_preset(folder, tensors, dtype, overrides)
        if overrides:
            raise PresetError(
                f"Neither {cls.__name__} nor its backbone has the arguments "
                f"{sorted(overrides)}"
            )
        return model


class _MadeForCheck(Exception):  # noqa: N818
    """Ends a context in which a model was only made to see whether it can be."""


def _downloaded(folder):
    """Downloads the weights of a built-in preset; no other preset is ever fetched."""
    if folder.is_published:
        # Imported here, as conversion is built on models.
        conversion = importlib.import_module("keras_vatt.conversion")
        conversion.fetch_preset(folder.name)
        return PresetFolder(folder.name)
    raise PresetError(
        f"The preset {folder.name!r} has no weights. Pass `load_weights=False` "
        "for random weights, or make a preset from a checkpoint of the original VATT "
        f"code: `keras-vatt convert --from CHECKPOINT_PREFIX --config "
        f"{folder.path.name} --output FOLDER`"
    )


def _match_own_tensors(model, folder, tensors):
    """Matches each variable that has weights in the preset with its tensor."""
    backbone = getattr(model, "backbone", model)
    left_out = set(saved_modalities(folder)) - set(backbone.modalities)
    target = model
    ignored = tuple(
        f"{part}/{modality}_"
        for part in ("backbone", "bridge_head")
        for modality in left_out
    )
    if not is_same_task(folder, model):
        # Another task has only the backbone in common with this model.
        target = backbone
        has_head = folder.read(files.TASK) is not None
        ignored += ("bridge_head/", "classifier/") if has_head else ()
    return match_tensors(named_variables(target), tensors, folder.name, ignored)
