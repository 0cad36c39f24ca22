"""The size of this machine's memory, and the release of memory to it."""

import contextlib
import ctypes
import gc
import math
import os
import pathlib

# The limit of a container under Linux, a number or `max`.
_CONTAINER_LIMIT = pathlib.Path("/sys/fs/cgroup/memory.max")


def physical_memory():
    """Returns the bytes of memory of this machine or container.

    It is infinity if it isn't known.
    """
    try:
        size = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Not available on every system.
        size = math.inf
    with contextlib.suppress(OSError, ValueError):
        size = min(size, int(_CONTAINER_LIMIT.read_text()))
    return size


def release_memory():
    """Returns the memory of freed arrays to the operating system.

    The C library of Linux keeps freed memory for later allocations, but doesn't always
    use it for them: the arrays of a second model can double the size of the process.
    """
    gc.collect()
    trim = (
        getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    )
    if trim is not None:
        trim(0)
