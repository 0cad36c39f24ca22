"""Our models with the weights of the golden checkpoints."""

import functools

from keras_vatt.conversion._original_checkpoint import (
    OriginalCheckpoint,
    load_original_checkpoint,
)
from keras_vatt.conversion._original_config import model_from_original_config
from tests.golden_files import FOLDER, golden_config

PRETRAINING = ("ut_fac", "tx_fac")
CLASSIFIERS = (
    "vit_classifier",
    "wat_classifier",
    "vit_agnostic_classifier",
    "wat_agnostic_classifier",
)


def golden_checkpoint(folder):
    (index,) = (FOLDER / folder).glob("*.index")
    return OriginalCheckpoint(index.with_suffix(""))


def load_golden_model(folder, **kwargs):
    """A new model with the golden weights, and its checkpoint layout."""
    model, layout = model_from_original_config(golden_config(folder), **kwargs)
    load_original_checkpoint(model, layout, golden_checkpoint(folder))
    return model, layout


@functools.cache
def golden_model(folder):
    """A model with the golden weights, shared: don't train it."""
    return load_golden_model(folder)[0]
