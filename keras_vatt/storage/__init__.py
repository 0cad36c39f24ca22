"""Weights and configs on disk: tensor names, safetensors, preset folders."""

from keras_vatt.storage.preset_folder import PresetError, PresetFolder, write_folder
from keras_vatt.storage.safetensors_weights import (
    WeightsMismatchError,
    load_weights,
    save_weights,
)
from keras_vatt.storage.tensor_names import named_variables

__all__ = [
    "PresetError",
    "PresetFolder",
    "WeightsMismatchError",
    "load_weights",
    "named_variables",
    "save_weights",
    "write_folder",
]
