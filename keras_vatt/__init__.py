"""VATT for Keras 3, pre-trained with cross-modality gradient harmonization."""

from keras_vatt import harmonization, layers, losses, storage, training
from keras_vatt.models import (
    VATT,
    VATTAgnosticBackbone,
    VATTAudioClassifier,
    VATTPreprocessor,
    VATTSpecificBackbone,
    VATTTokenizer,
    VATTVideoClassifier,
)
from keras_vatt.version import __version__

__all__ = [
    "VATT",
    "VATTAgnosticBackbone",
    "VATTAudioClassifier",
    "VATTPreprocessor",
    "VATTSpecificBackbone",
    "VATTTokenizer",
    "VATTVideoClassifier",
    "__version__",
    "harmonization",
    "layers",
    "losses",
    "storage",
    "training",
]
