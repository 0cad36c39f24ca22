"""Errors of shards."""

from keras_vatt._errors import KerasVATTError


class ShardError(KerasVATTError, ValueError):
    """A folder of shards can't be read or written."""
