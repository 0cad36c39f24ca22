"""The error of an index of media that can't be made, read or searched."""

from keras_vatt._errors import KerasVATTError


class MediaIndexError(KerasVATTError, ValueError):
    """An index that is missing, damaged, or of another model; says what to do."""
