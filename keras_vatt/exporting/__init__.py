"""Exports of inference graphs in the formats of other runtimes."""

from keras_vatt.exporting._formats import FORMATS, write_artifact
from keras_vatt.exporting._runtimes import run_artifact

__all__ = ["FORMATS", "run_artifact", "write_artifact"]
