"""How well a model sees, hears and reads: classification, retrieval, probes."""

from keras_vatt.evaluation.classification import (
    ClassificationMetrics,
    classification_metrics,
    multi_hot,
    top_k_hits,
)
from keras_vatt.evaluation.ranking import (
    RetrievalMetrics,
    RetrievalRanks,
    retrieval_metrics,
    retrieval_ranks,
)
from keras_vatt.evaluation.retrieval import format_retrieval, zero_shot_retrieval

__all__ = [
    "ClassificationMetrics",
    "RetrievalMetrics",
    "RetrievalRanks",
    "classification_metrics",
    "format_retrieval",
    "multi_hot",
    "retrieval_metrics",
    "retrieval_ranks",
    "top_k_hits",
    "zero_shot_retrieval",
]
