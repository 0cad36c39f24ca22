"""Training with harmonized gradients."""

from keras_vatt.training.harmonized_model import BranchLoss, HarmonizedModel
from keras_vatt.training.metrics import NamedMeans, StepMetrics
from keras_vatt.training.schedules import warmup_cosine

__all__ = [
    "BranchLoss",
    "HarmonizedModel",
    "NamedMeans",
    "StepMetrics",
    "warmup_cosine",
]
