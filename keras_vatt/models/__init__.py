"""VATT models, their preprocessors, and zero-shot classification."""

from keras_vatt.models._agnostic_backbone import VATTAgnosticBackbone
from keras_vatt.models._backbone import VATTBackbone
from keras_vatt.models._classifier import (
    VATTAudioClassifier,
    VATTImageClassifier,
    VATTVideoClassifier,
)
from keras_vatt.models._converters import VATTAudioConverter, VATTVideoConverter
from keras_vatt.models._preprocessor import VATTPreprocessor
from keras_vatt.models._preset_list import describe_presets
from keras_vatt.models._specific_backbone import VATTSpecificBackbone
from keras_vatt.models._tokenizer import VATTTokenizer
from keras_vatt.models._tower import VATTTower
from keras_vatt.models._vatt import VATT
from keras_vatt.models._word_piece_tokenizer import VATTWordPieceTokenizer
from keras_vatt.models._zero_shot import zero_shot_classify

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
    "VATTWordPieceTokenizer",
    "describe_presets",
    "zero_shot_classify",
]
