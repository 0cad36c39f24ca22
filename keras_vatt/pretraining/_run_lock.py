"""A file lock that keeps two runs from writing to the same folder."""

import contextlib
import pathlib

import filelock

from keras_vatt.pretraining._devices import is_first_process
from keras_vatt.pretraining._errors import PretrainingError

LOCK_NAME = ".lock"


@contextlib.contextmanager
def run_lock(output):
    """Locks the folder of a run during a `with` block.

    The operating system releases the lock when the process ends, even if it is killed;
    only an empty file remains. If a run has several processes, the first one holds the
    lock for all; call `join_processes` before. The same thread may enter the block
    again.

    Args:
        output: string or path of the folder of the run. It is created if needed.

    Raises:
        PretrainingError: if another run holds the lock, or the folder can't be written
            to.
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
            f"another run is writing to {str(output)!r}: wait until it ends, or choose "
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
