"""Inference graphs in the formats of other runtimes."""

from keras_vatt.exporting.formats import FORMATS, write_artifact

__all__ = ["FORMATS", "write_artifact"]
