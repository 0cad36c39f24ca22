"""Huge memory pages for commands that compute for a long time."""

import os
import sys

_TUNABLES = "GLIBC_TUNABLES"
_HUGE_PAGES = "glibc.malloc.hugetlb=1"
_COMMANDS = ("pretrain", "evaluate", "embed")


def restart_with_huge_pages() -> None:
    """Restarts this process once, so that the C library asks for huge pages.

    XLA allocates its temporary buffers again in each step on a CPU. With pages of
    2 MiB instead of 4 KiB, the kernel has less to do. The GNU C library reads the
    setting only when a process starts. Nothing happens on other systems, for short
    commands, and where the user has set `GLIBC_TUNABLES`.
    """
    is_long = len(sys.argv) > 1 and sys.argv[1] in _COMMANDS
    if is_long and _TUNABLES not in os.environ and _has_glibc():
        os.environ[_TUNABLES] = _HUGE_PAGES
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def _has_glibc():
    try:
        return bool(os.confstr("CS_GNU_LIBC_VERSION"))
    except (AttributeError, ValueError, OSError):  # Other systems and C libraries.
        return False
