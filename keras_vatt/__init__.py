"""VATT for Keras 3, pre-trained with cross-modality gradient harmonization."""

from typing import TYPE_CHECKING

from keras_vatt._lazy import lazy_attributes
from keras_vatt._registration import register_classes, runs_command_line
from keras_vatt.version import __version__

if TYPE_CHECKING:
    from keras_vatt import (
        auditing,
        conversion,
        data,
        evaluation,
        exporting,
        harmonization,
        inference,
        layers,
        losses,
        metrics,
        models,
        planning,
        pretraining,
        search,
        storage,
        training,
    )
    from keras_vatt._errors import KerasVATTError
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
        VATTWordPieceTokenizer,
        zero_shot_classify,
    )
    from keras_vatt.storage import Provenance

__all__ = [
    "KerasVATTError",
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
    "VATTWordPieceTokenizer",
    "__version__",
    "auditing",
    "conversion",
    "data",
    "evaluation",
    "exporting",
    "harmonization",
    "inference",
    "layers",
    "losses",
    "metrics",
    "models",
    "planning",
    "pretraining",
    "search",
    "storage",
    "training",
    "zero_shot_classify",
]

_OBJECTS = {name: "keras_vatt.models" for name in __all__ if name.startswith("VATT")}
_OBJECTS |= {"zero_shot_classify": "keras_vatt.models"}
_OBJECTS |= {"Provenance": "keras_vatt.storage"}
_OBJECTS |= {"KerasVATTError": "keras_vatt._errors"}
_SUBMODULES = tuple(name for name in __all__ if name not in {*_OBJECTS, "__version__"})

__getattr__, __dir__ = lazy_attributes(__name__, _SUBMODULES, _OBJECTS)

if not runs_command_line():
    register_classes()
