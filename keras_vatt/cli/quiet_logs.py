"""Silences the native logs of the backends on the command line."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

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


@contextlib.contextmanager
def quiet_imports() -> Iterator[None]:
    """Hides what native libraries write to standard error while they are imported.

    TensorFlow logs before it reads its log level. After an error, the text is printed.
    """
    if sys.__stderr__ is None:  # The process was started without a standard error.
        yield
        return
    sys.stderr.flush()
    with tempfile.TemporaryFile() as hidden:
        stderr = os.dup(2)
        os.dup2(hidden.fileno(), 2)
        try:
            yield
        except BaseException:
            hidden.seek(0)
            os.write(stderr, hidden.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)
