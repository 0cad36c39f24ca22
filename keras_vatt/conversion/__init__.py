"""Converts checkpoints of the original VATT code into presets."""

from keras_vatt.conversion._convert import convert, count_mapped
from keras_vatt.conversion._errors import (
    CheckpointMismatchError,
    DamagedCheckpointError,
)
from keras_vatt.conversion._published import fetch_preset
from keras_vatt.conversion._publishing import publish_presets

__all__ = [
    "CheckpointMismatchError",
    "DamagedCheckpointError",
    "convert",
    "count_mapped",
    "fetch_preset",
    "publish_presets",
]
