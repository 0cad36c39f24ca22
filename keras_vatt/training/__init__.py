"""Training with harmonized gradients, and fine-tuning."""

from keras_vatt.training._branches import Branch, BranchLoss
from keras_vatt.training._cosine_histogram import CosineHistograms
from keras_vatt.training._fine_tuning import FineTuningSGD, fine_tuning_optimizer
from keras_vatt.training._harmonized_model import HarmonizedModel
from keras_vatt.training._metrics import NamedMeans, StepMetrics
from keras_vatt.training._mixup import Mixup
from keras_vatt.training._multi_task_model import MultiTaskModel
from keras_vatt.training._plots import plot_cosines, plot_gradients, plot_losses
from keras_vatt.training._run_checkpoint import RunCheckpoint
from keras_vatt.training._schedules import warmup_cosine

__all__ = [
    "Branch",
    "BranchLoss",
    "CosineHistograms",
    "FineTuningSGD",
    "HarmonizedModel",
    "Mixup",
    "MultiTaskModel",
    "NamedMeans",
    "RunCheckpoint",
    "StepMetrics",
    "fine_tuning_optimizer",
    "plot_cosines",
    "plot_gradients",
    "plot_losses",
    "warmup_cosine",
]
