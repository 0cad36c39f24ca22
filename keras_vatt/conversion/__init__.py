"""Converts checkpoints of the original VATT code into presets."""

from keras_vatt.conversion._convert import convert

__all__ = ["convert"]
