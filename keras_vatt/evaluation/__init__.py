"""How well a model sees, hears and reads: classification, retrieval, probes."""

from keras_vatt._lazy import lazy_attributes
from keras_vatt.evaluation._probes import ProbeResult, linear_probe
from keras_vatt.evaluation._report import EvaluationResult, write_evaluation
from keras_vatt.evaluation._zero_shot_retrieval import (
    format_retrieval,
    zero_shot_ranks,
    zero_shot_retrieval,
)
from keras_vatt.metrics._classification import (
    ClassificationMetrics,
    classification_metrics,
    multi_hot,
    top_k_hits,
)
from keras_vatt.metrics._intervals import (
    bootstrap_intervals,
    classification_intervals,
    retrieval_intervals,
)
from keras_vatt.metrics._ranking import (
    RetrievalMetrics,
    RetrievalRanks,
    retrieval_metrics,
    retrieval_ranks,
)
from keras_vatt.metrics._splits import mean_over_splits

__all__ = [
    "ClassificationMetrics",
    "EvaluationResult",
    "ProbeResult",
    "RetrievalMetrics",
    "RetrievalRanks",
    "bootstrap_intervals",
    "classification_intervals",
    "classification_metrics",
    "format_retrieval",
    "linear_probe",
    "mean_over_splits",
    "multi_hot",
    "retrieval_intervals",
    "retrieval_metrics",
    "retrieval_ranks",
    "top_k_hits",
    "write_evaluation",
    "zero_shot_ranks",
    "zero_shot_retrieval",
]

__getattr__, __dir__ = lazy_attributes(__name__, ["mteb"])
