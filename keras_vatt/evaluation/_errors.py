"""The error of evaluations."""

from keras_vatt._errors import KerasVATTError


class EvaluationError(KerasVATTError):
    """Settings, a preset or a dataset that don't fit together.

    The message is one line, which a user can act on.
    """
