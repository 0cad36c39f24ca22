"""The field's labelled and captioned sets, by their official split files."""

from keras_vatt.data.datasets._labeled_dataset import LabeledClip, LabeledDataset
from keras_vatt.data.datasets._reader import labeled_datasets, read_labeled_dataset

__all__ = ["LabeledClip", "LabeledDataset", "labeled_datasets", "read_labeled_dataset"]
