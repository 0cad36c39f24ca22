"""Presets, their weights and configs, on disk and on the Hugging Face Hub."""

from keras_vatt.storage._preset_files import PresetError
from keras_vatt.storage._preset_folder import PresetFolder, built_in_presets
from keras_vatt.storage._preset_writer import find_folder, write_folder
from keras_vatt.storage._safetensors_weights import (
    WeightsMismatchError,
    save_weights,
)
from keras_vatt.storage._tensor_names import named_variables
from keras_vatt.storage._weights_digest import saved_weights_sha256, weights_sha256

__all__ = [
    "PresetError",
    "PresetFolder",
    "WeightsMismatchError",
    "built_in_presets",
    "find_folder",
    "named_variables",
    "save_weights",
    "saved_weights_sha256",
    "weights_sha256",
    "write_folder",
]
