"""Conversion of checkpoints of the original VATT code to presets."""

from keras_vatt.conversion._convert import convert, count_mapped
from keras_vatt.conversion._errors import DamagedCheckpointError

__all__ = ["DamagedCheckpointError", "convert", "count_mapped"]
