"""Audits of corpora: clips whose audio or caption does not belong to their video.

The modules of this package import Keras, so they are imported when a name of theirs is
first used: `keras-vatt audit --help` does not need it.
"""

import typing

from keras_vatt._lazy import lazy_attributes
from keras_vatt.auditing._errors import AuditError
from keras_vatt.auditing._settings import AuditSettings

if typing.TYPE_CHECKING:
    from keras_vatt.auditing._ranking import AuditedClip
    from keras_vatt.auditing._report import AuditResult
    from keras_vatt.auditing._run import audit

__all__ = ["AuditError", "AuditResult", "AuditSettings", "AuditedClip", "audit"]

_MODULES = {"AuditResult": "_report", "AuditedClip": "_ranking", "audit": "_run"}

__getattr__, __dir__ = lazy_attributes(
    __name__,
    objects={name: f"{__name__}.{module}" for name, module in _MODULES.items()},
)
