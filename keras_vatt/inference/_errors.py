"""Errors of the inference package."""


class FeatureStoreError(ValueError):
    """Stored features that are damaged. The message says which file to delete."""
