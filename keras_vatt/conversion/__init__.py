"""Converts checkpoints of the original VATT code into presets."""

from keras_vatt.conversion._convert import convert, count_mapped
from keras_vatt.conversion._errors import (
    CheckpointMismatchError,
    DamagedCheckpointError,
)

__all__ = [
    "CheckpointMismatchError",
    "DamagedCheckpointError",
    "convert",
    "count_mapped",
]
