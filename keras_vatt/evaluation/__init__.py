"""Evaluation of models: classification, retrieval and probes.

The modules of this package import Keras and scikit-learn, so they are imported when a
name of theirs is first used: `keras-vatt --help` needs neither.
"""

import typing

from keras_vatt._lazy import lazy_attributes
from keras_vatt.evaluation._errors import EvaluationError
from keras_vatt.evaluation._settings import EvaluationSettings

if typing.TYPE_CHECKING:
    from keras_vatt.evaluation import mteb
    from keras_vatt.evaluation._probes import ProbeResult, linear_probe
    from keras_vatt.evaluation._report import EvaluationResult, write_evaluation
    from keras_vatt.evaluation._run import evaluate
    from keras_vatt.evaluation._zero_shot_retrieval import (
        format_retrieval,
        zero_shot_ranks,
        zero_shot_retrieval,
    )
    from keras_vatt.metrics import (
        ClassificationMetrics,
        RetrievalMetrics,
        RetrievalRanks,
        bootstrap_intervals,
        classification_intervals,
        classification_metrics,
        mean_over_splits,
        multi_hot,
        retrieval_intervals,
        retrieval_metrics,
        retrieval_ranks,
        top_k_hits,
    )

__all__ = [
    "ClassificationMetrics",
    "EvaluationError",
    "EvaluationResult",
    "EvaluationSettings",
    "ProbeResult",
    "RetrievalMetrics",
    "RetrievalRanks",
    "bootstrap_intervals",
    "classification_intervals",
    "classification_metrics",
    "evaluate",
    "format_retrieval",
    "linear_probe",
    "mean_over_splits",
    "mteb",
    "multi_hot",
    "retrieval_intervals",
    "retrieval_metrics",
    "retrieval_ranks",
    "top_k_hits",
    "write_evaluation",
    "zero_shot_ranks",
    "zero_shot_retrieval",
]

_MODULES = {
    "EvaluationResult": "_report",
    "ProbeResult": "_probes",
    "evaluate": "_run",
    "format_retrieval": "_zero_shot_retrieval",
    "linear_probe": "_probes",
    "write_evaluation": "_report",
    "zero_shot_ranks": "_zero_shot_retrieval",
    "zero_shot_retrieval": "_zero_shot_retrieval",
}
_IMPORTED = {"EvaluationError", "EvaluationSettings", "mteb"}
_OBJECTS = dict.fromkeys({*__all__} - _IMPORTED, "keras_vatt.metrics")
_OBJECTS |= {name: f"{__name__}.{module}" for name, module in _MODULES.items()}

__getattr__, __dir__ = lazy_attributes(__name__, ["mteb"], _OBJECTS)
