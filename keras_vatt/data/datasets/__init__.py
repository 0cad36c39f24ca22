"""Readers of established labeled and captioned datasets with their official splits."""

from keras_vatt.data.datasets._labeled_dataset import LabeledClip, LabeledDataset
from keras_vatt.data.datasets._reader import labeled_datasets, read_labeled_dataset

__all__ = ["LabeledClip", "LabeledDataset", "labeled_datasets", "read_labeled_dataset"]
