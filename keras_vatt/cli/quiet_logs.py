"""Silences the native logs of the backends in the command line."""

import os

# The backends read them when they are imported. A user's own values take precedence.
_SETTINGS = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "GRPC_VERBOSITY": "ERROR",
}


def quiet_logs() -> None:
    """Silences TensorFlow and XLA, whose errors also arrive as exceptions.

    Call it before a backend is imported.
    """
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
