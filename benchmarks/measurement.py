"""Interleaved times, page faults, and the memory that a step needs."""

import ctypes
import dataclasses
import gc
import os
import pathlib
import resource
import statistics
import time

import keras

_STATUS = pathlib.Path("/proc/self/status")
_CLEAR = pathlib.Path("/proc/self/clear_refs")
_RESET_PEAK = "5"


@dataclasses.dataclass(frozen=True)
class Usage:
    """Time and page faults of one run of a function, in all threads of the process.

    Attributes:
        seconds: float, wall time.
        cpu_seconds: float, user and system time.
        system_seconds: float, system time.
        page_faults: int, pages that the system mapped without input or output.
    """

    seconds: float
    cpu_seconds: float
    system_seconds: float
    page_faults: int


def interleaved(functions, num_rounds):
    """Measures functions in rounds, every other round in reverse order.

    A temporary slowdown of the machine affects all functions of a round.

    Args:
        functions: dict from name to a function without arguments that returns when its
            work is done.
        num_rounds: int.

    Returns:
        Dict from name to a list of `num_rounds` `Usage`s.
    """
    usages = {name: [] for name in functions}
    for index in range(num_rounds):
        names = list(functions) if index % 2 == 0 else list(functions)[::-1]
        for name in names:
            usages[name].append(_usage(functions[name]))
    return usages


def quartiles(values):
    """Returns the lower quartile, the median and the upper quartile."""
    if len(values) < 2:
        return (values[0],) * 3
    return tuple(statistics.quantiles(values, n=4, method="inclusive"))


def peak_memory(run, repeats=3):
    """Returns the peak memory in bytes that a step needs beyond what it keeps.

    This is the peak resident memory of the process during the step minus its resident
    memory before the step, after free memory has been released to the system. Weights,
    optimizer slots, compiled programs and compilation do not count. The result is
    `None` without Linux `/proc` and glibc. Only host memory is measured.

    Args:
        run: function without arguments, already warmed up.
        repeats: int. The median of this many runs is returned.
    """
    if not _CLEAR.exists():
        return None
    return statistics.median(_one_peak(run) for _ in range(repeats))


def peak_of_step(run):
    """Returns `peak_memory` of a training step, or `None` where it cannot be measured.

    TensorFlow with oneDNN keeps the memory of earlier steps. It is measured with
    `TF_ENABLE_ONEDNN_OPTS=0`.
    """
    on_tensorflow = keras.config.backend() == "tensorflow"
    if on_tensorflow and os.environ.get("TF_ENABLE_ONEDNN_OPTS") != "0":
        return None
    return peak_memory(run)


def status_bytes(field):
    """Returns a size in the process status file, such as `VmRSS` (Linux only)."""
    for line in _STATUS.read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"No {field} in {_STATUS}")


def resident_bytes(process):
    """Returns the resident memory of a process ID, or 0 if the process has ended."""
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


def _usage(run):
    before, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    run()
    seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_SELF)
    system = after.ru_stime - before.ru_stime
    return Usage(
        seconds=seconds,
        cpu_seconds=after.ru_utime - before.ru_utime + system,
        system_seconds=system,
        page_faults=after.ru_minflt - before.ru_minflt,
    )
