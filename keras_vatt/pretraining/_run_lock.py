"""A lock that lets one process at a time write a run to a folder."""

import contextlib
import pathlib

import filelock

from keras_vatt.pretraining._devices import is_first_process
from keras_vatt.pretraining._errors import PretrainingError

LOCK_NAME = ".lock"


@contextlib.contextmanager
def run_lock(output):
    """Keep others from making a run in a folder while this context lasts.

    The operating system holds the lock, on behalf of the process: it ends with it,
    even if that is killed. Only its empty file stays. Of a run of several processes
    the first one holds it for all; they must have met, see `join_processes`. The same
    thread may enter it again.

    Args:
        output: string or path of the folder of the run, which is made.

    Raises:
        PretrainingError: if another run holds it, or the folder can't be written to.
    """
    if not is_first_process():
        yield
        return
    path = pathlib.Path(output) / LOCK_NAME
    lock = filelock.FileLock(path.absolute(), timeout=0, is_singleton=True)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except filelock.Timeout as error:
        raise PretrainingError(
            f"another run is going on in {str(output)!r}: wait for its end, or choose "
            "another --output"
        ) from error
    except OSError as error:
        raise PretrainingError(
            f"the folder {str(output)!r} can't be written to: {error.strerror or error}"
        ) from error
    try:
        yield
    finally:
        lock.release()
