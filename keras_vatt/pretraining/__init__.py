"""Pre-training runs, from video files to a preset, plots and reports."""

from keras_vatt.pretraining._errors import PretrainingError
from keras_vatt.pretraining._run import pretrain
from keras_vatt.pretraining._settings import PretrainSettings, resolve_settings

__all__ = ["PretrainSettings", "PretrainingError", "pretrain", "resolve_settings"]
