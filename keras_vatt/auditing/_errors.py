"""The error of audits."""

from keras_vatt._errors import KerasVATTError


class AuditError(KerasVATTError):
    """Settings, a preset or a corpus that don't fit together.

    The message is one line, which a user can act on.
    """
