"""Evaluation of models: classification, retrieval and probes.

The modules of this package import Keras and scikit-learn, so they are imported when a
name of theirs is first used: `keras-vatt --help` needs neither.
"""

import importlib
import typing

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

# The modules of the names that are not those of `keras_vatt.metrics`.
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


def __getattr__(name):
    if name == "mteb":
        return importlib.import_module("keras_vatt.evaluation.mteb")
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = "keras_vatt.metrics"
    if name in _MODULES:
        module = f"{__name__}.{_MODULES[name]}"
    return getattr(importlib.import_module(module), name)


def __dir__():
    return __all__
