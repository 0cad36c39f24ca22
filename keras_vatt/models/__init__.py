"""VATT models."""

from keras_vatt.models.agnostic_backbone import VATTAgnosticBackbone
from keras_vatt.models.backbone import VATTBackbone
from keras_vatt.models.classifier import VATTAudioClassifier, VATTVideoClassifier
from keras_vatt.models.specific_backbone import VATTSpecificBackbone
from keras_vatt.models.vatt import VATT

__all__ = [
    "VATT",
    "VATTAgnosticBackbone",
    "VATTAudioClassifier",
    "VATTBackbone",
    "VATTSpecificBackbone",
    "VATTVideoClassifier",
]
