"""The error of an index of media that can't be made, read or searched."""


class MediaIndexError(ValueError):
    """An index that is missing, damaged, or of another model; says what to do."""
