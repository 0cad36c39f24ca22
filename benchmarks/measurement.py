"""Wall time in pairs, and the memory that a step takes."""

import ctypes
import gc
import os
import pathlib
import statistics
import time

_STATUS = pathlib.Path("/proc/self/status")
_CLEAR = pathlib.Path("/proc/self/clear_refs")
_RESET_PEAK = "5"


def paired_times(reference, candidate, num_pairs):
    """Seconds of each, measured in pairs, every other pair in reverse order.

    What slows the machine down for a while slows down both of a pair.

    Args:
        reference: function without arguments that returns when its work is done.
        candidate: the same.
        num_pairs: int.

    Returns:
        Two lists of `num_pairs` seconds.
    """
    times = {reference: [], candidate: []}
    for index in range(num_pairs):
        pair = (reference, candidate) if index % 2 == 0 else (candidate, reference)
        for run in pair:
            times[run].append(_seconds(run))
    return times[reference], times[candidate]


def quartiles(values):
    """Lower quartile, median, upper quartile."""
    if len(values) < 2:
        return (values[0],) * 3
    return tuple(statistics.quantiles(values, n=4, method="inclusive"))


def peak_memory(run, repeats=3):
    """Bytes that a step takes at its peak over what stays between steps.

    The process' peak resident memory during the step over its resident memory before
    it, free memory having been given back: weights, optimizer slots, compiled programs
    and what the compiler needed do not count. Has no answer (`None`) where there is no
    Linux `/proc` and glibc, and is about host memory only.

    Args:
        run: function without arguments, warmed up.
        repeats: int. The median is taken.
    """
    if not _CLEAR.exists():
        return None
    return statistics.median(_one_peak(run) for _ in range(repeats))


def status_bytes(field):
    """A size in the process' status file, such as `VmRSS` or `VmHWM` (Linux only)."""
    for line in _STATUS.read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"No {field} in {_STATUS}")


def resident_bytes(process):
    """Returns the resident memory of a process, by its number; 0 if it has ended."""
    try:
        pages = pathlib.Path(f"/proc/{process}/statm").read_text().split()[1]
    except (OSError, IndexError):
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def _one_peak(run):
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    _CLEAR.write_text(_RESET_PEAK)
    before = status_bytes("VmRSS")
    run()
    return max(status_bytes("VmHWM") - before, 0)


def _seconds(run):
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
