"""Contrastive losses."""

from keras_vatt.losses.contrastive import AsymmetricNCE, ContrastiveLoss, SymmetricNCE

__all__ = ["AsymmetricNCE", "ContrastiveLoss", "SymmetricNCE"]
