"""A whole pre-training run, from video files to preset, plots and report."""

from keras_vatt.pretraining._errors import PretrainingError
from keras_vatt.pretraining._run import pretrain
from keras_vatt.pretraining._settings import PretrainSettings, resolve_settings

__all__ = ["PretrainSettings", "PretrainingError", "pretrain", "resolve_settings"]
