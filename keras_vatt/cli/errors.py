"""The error that a user of the command line can fix."""

from keras_vatt._errors import KerasVATTError


class CommandError(KerasVATTError):
    """Bad arguments or missing files; its message is one clear line.

    Other exceptions are defects and show their traceback.
    """
