"""Writes that the operating system refuses, as on a full disk."""

import contextlib
import resource


@contextlib.contextmanager
def file_size_limit(size):
    """Lets the kernel refuse writes past a size, as it does on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
