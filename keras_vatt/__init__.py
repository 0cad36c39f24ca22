"""VATT for Keras 3, pre-trained with cross-modality gradient harmonization."""

from keras_vatt import harmonization, layers, losses, storage, training
from keras_vatt.models import (
    VATT,
    VATTAgnosticBackbone,
    VATTAudioClassifier,
    VATTAudioConverter,
    VATTBackbone,
    VATTImageClassifier,
    VATTPreprocessor,
    VATTSpecificBackbone,
    VATTTokenizer,
    VATTTower,
    VATTVideoClassifier,
    VATTVideoConverter,
    zero_shot_classify,
)
from keras_vatt.storage._provenance import Provenance
from keras_vatt.version import __version__

__all__ = [
    "Provenance",
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
    "__version__",
    "harmonization",
    "layers",
    "losses",
    "storage",
    "training",
    "zero_shot_classify",
]
