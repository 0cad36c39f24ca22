"""A whole pre-training run, from video files to preset, plots and report."""

from keras_vatt.pretraining.errors import PretrainingError
from keras_vatt.pretraining.run import pretrain
from keras_vatt.pretraining.settings import PretrainSettings

__all__ = ["PretrainSettings", "PretrainingError", "pretrain"]
