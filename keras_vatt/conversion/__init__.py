"""Conversion of checkpoints of the original VATT code to presets."""

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
