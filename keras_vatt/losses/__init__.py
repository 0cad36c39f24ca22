"""Contrastive losses of pre-training, and losses of the classifiers."""

from keras_vatt.losses._classification import (
    BalancedBinaryCrossentropy,
    SoftmaxCrossentropy,
)
from keras_vatt.losses._contrastive import AsymmetricNCE, ContrastiveLoss, SymmetricNCE

__all__ = [
    "AsymmetricNCE",
    "BalancedBinaryCrossentropy",
    "ContrastiveLoss",
    "SoftmaxCrossentropy",
    "SymmetricNCE",
]
