"""How well a model sees, hears and reads: retrieval."""

from keras_vatt.evaluation.retrieval import (
    RetrievalMetrics,
    format_retrieval,
    retrieval_metrics,
    zero_shot_retrieval,
)

__all__ = [
    "RetrievalMetrics",
    "format_retrieval",
    "retrieval_metrics",
    "zero_shot_retrieval",
]
