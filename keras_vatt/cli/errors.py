"""Errors of the command line that the user can fix."""

from keras_vatt._errors import KerasVATTError


class CommandError(KerasVATTError):
    """An error in the arguments or files of a command, with a one-line message."""
