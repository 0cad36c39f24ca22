"""The error of an index of media that can't be made, read or asked."""

from keras_vatt._errors import KerasVATTError


class MediaIndexError(KerasVATTError, ValueError):
    """An index that is none, is damaged, or is of another model; says what to do."""
