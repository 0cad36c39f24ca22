"""The error of an evaluation that a user can mend."""

from keras_vatt._errors import KerasVATTError


class EvaluationError(KerasVATTError):
    """Settings, a preset or a set that don't go together; its message is one line."""
