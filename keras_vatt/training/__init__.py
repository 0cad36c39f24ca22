"""Training with harmonized gradients."""

from keras_vatt.training.harmonized_model import Branch, BranchLoss, HarmonizedModel
from keras_vatt.training.metrics import NamedMeans, StepMetrics
from keras_vatt.training.plots import plot_gradients, plot_losses
from keras_vatt.training.run_checkpoint import RunCheckpoint
from keras_vatt.training.schedules import warmup_cosine

__all__ = [
    "Branch",
    "BranchLoss",
    "HarmonizedModel",
    "NamedMeans",
    "RunCheckpoint",
    "StepMetrics",
    "plot_gradients",
    "plot_losses",
    "warmup_cosine",
]
