"""Errors of the inference package."""

from keras_vatt._errors import KerasVATTError


class FeatureStoreError(KerasVATTError, ValueError):
    """Stored features that are damaged. The message says which file to delete."""
