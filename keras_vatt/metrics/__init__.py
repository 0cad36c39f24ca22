"""Metrics of classification and retrieval, with confidence intervals."""

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
    "RetrievalMetrics",
    "RetrievalRanks",
    "bootstrap_intervals",
    "classification_intervals",
    "classification_metrics",
    "mean_over_splits",
    "multi_hot",
    "retrieval_intervals",
    "retrieval_metrics",
    "retrieval_ranks",
    "top_k_hits",
]
