"""The error of an index of media that can't be made, read or asked."""


class MediaIndexError(ValueError):
    """An index that is none, is damaged, or is of another model; says what to do."""
