"""Any error of decoding one file becomes one kind of error."""

import contextlib

from keras_vatt.data.media import MediaError
from keras_vatt.data.report import Problem


@contextlib.contextmanager
def decoding_errors(source):
    """Raises whatever goes wrong in a `with` block as a `MediaError` of a file.

    A folder of media has files that nobody has thought of. An error of a library that
    isn't foreseen, or a frame that is too large for the memory, is one file's, and
    must not end the work on the others.

    Args:
        source: str or path of the file, or a file object.

    Raises:
        MediaError: As it was, or of `Problem.CORRUPT`.
    """
    try:
        yield
    except MediaError:
        raise
    except Exception as error:
        reason = f"cannot be decoded ({type(error).__name__}: {error})"
        name = str(getattr(source, "name", source))
        raise MediaError(name, Problem.CORRUPT, reason) from error
