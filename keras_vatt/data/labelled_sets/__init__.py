"""The field's labelled and captioned sets, by their official split files."""

from keras_vatt.data.labelled_sets.labelled_set import LabelledClip, LabelledSet
from keras_vatt.data.labelled_sets.reader import labelled_sets, read_labelled_set

__all__ = ["LabelledClip", "LabelledSet", "labelled_sets", "read_labelled_set"]
