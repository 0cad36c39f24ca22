"""The size of this machine's memory."""

import math
import os


def physical_memory():
    """Returns the bytes of memory of this machine; infinity if it isn't known."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Not available on every system.
        return math.inf
