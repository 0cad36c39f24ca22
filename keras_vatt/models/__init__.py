"""VATT models."""

from keras_vatt.models.agnostic_backbone import VATTAgnosticBackbone
from keras_vatt.models.backbone import VATTBackbone
from keras_vatt.models.classifier import (
    VATTAudioClassifier,
    VATTImageClassifier,
    VATTVideoClassifier,
)
from keras_vatt.models.converters import VATTAudioConverter, VATTVideoConverter
from keras_vatt.models.preprocessor import VATTPreprocessor
from keras_vatt.models.presets import describe_presets
from keras_vatt.models.specific_backbone import VATTSpecificBackbone
from keras_vatt.models.tokenizer import VATTTokenizer
from keras_vatt.models.tower import VATTTower
from keras_vatt.models.vatt import VATT
from keras_vatt.models.zero_shot import zero_shot_classify

__all__ = [
    "VATT",
    "VATTAgnosticBackbone",
    "VATTAudioClassifier",
    "VATTAudioConverter",
    "VATTBackbone",
    "VATTImageClassifier",
    "VATTPreprocessor",
    "VATTSpecificBackbone",
    "VATTTokenizer",
    "VATTTower",
    "VATTVideoClassifier",
    "VATTVideoConverter",
    "describe_presets",
    "zero_shot_classify",
]
