"""Silences the native logs of the backends on the command line."""

import os

# Backends read these at import. Values that the user has set take precedence.
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
