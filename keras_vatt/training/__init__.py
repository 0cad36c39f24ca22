"""Training with harmonized gradients, and fine-tuning."""

from keras_vatt.training.fine_tuning import FineTuningSGD, fine_tuning_optimizer
from keras_vatt.training.harmonized_model import Branch, BranchLoss, HarmonizedModel
from keras_vatt.training.metrics import NamedMeans, StepMetrics
from keras_vatt.training.mixup import Mixup
from keras_vatt.training.plots import plot_gradients, plot_losses
from keras_vatt.training.run_checkpoint import RunCheckpoint
from keras_vatt.training.schedules import warmup_cosine

__all__ = [
    "Branch",
    "BranchLoss",
    "FineTuningSGD",
    "HarmonizedModel",
    "Mixup",
    "NamedMeans",
    "RunCheckpoint",
    "StepMetrics",
    "fine_tuning_optimizer",
    "plot_gradients",
    "plot_losses",
    "warmup_cosine",
]
