"""Presets, their weights and configs, on disk and on the Hugging Face Hub.

What reads presets imports no Keras, so that `keras-vatt presets` starts fast; the
functions that need Keras are imported when they are first used.
"""

from typing import TYPE_CHECKING

from keras_vatt._lazy import lazy_attributes
from keras_vatt.storage._preset_files import PresetError, find_folder
from keras_vatt.storage._preset_folder import PresetFolder, built_in_presets
from keras_vatt.storage._provenance import Provenance
from keras_vatt.storage._stored_tensors import MissingShardError

if TYPE_CHECKING:
    from keras_vatt.storage._preset_writer import write_folder
    from keras_vatt.storage._safetensors_weights import (
        WeightsMismatchError,
        save_weights,
    )
    from keras_vatt.storage._tensor_names import named_variables
    from keras_vatt.storage._weights_digest import saved_weights_sha256, weights_sha256

__all__ = [
    "MissingShardError",
    "PresetError",
    "PresetFolder",
    "Provenance",
    "WeightsMismatchError",
    "built_in_presets",
    "find_folder",
    "named_variables",
    "save_weights",
    "saved_weights_sha256",
    "weights_sha256",
    "write_folder",
]

__getattr__, __dir__ = lazy_attributes(
    __name__,
    objects={
        "WeightsMismatchError": "keras_vatt.storage._safetensors_weights",
        "named_variables": "keras_vatt.storage._tensor_names",
        "save_weights": "keras_vatt.storage._safetensors_weights",
        "saved_weights_sha256": "keras_vatt.storage._weights_digest",
        "weights_sha256": "keras_vatt.storage._weights_digest",
        "write_folder": "keras_vatt.storage._preset_writer",
    },
)
