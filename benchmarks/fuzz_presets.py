"""Loads 100 hostile presets, each in its own process, and counts the outcomes.

    KERAS_BACKEND=torch python benchmarks/fuzz_presets.py --count 100 --seed 0

The cases of `hostile_presets.py` come first, followed by random changes to a valid
preset. A child process loads the preset, uses it, and saves it again under a limit of
memory and time. It reports every file that Python opens outside the preset and the
installed packages. (Linux only.)
"""

import argparse
import collections
import json
import os
import pathlib
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback

import keras
import numpy as np
from hostile_presets import (
    CANARY,
    CASES,
    kind_of_error,
    numbers_of,
    random_change,
    watch_files,
    write_outside,
    write_valid_preset,
)
from measurement import resident_bytes

import keras_vatt

# Memory above the parent's; the address space may be much larger.
_MEMORY = 1_500_000_000
_ADDRESSES = 12_000_000_000
_ACCEPTED = ("loaded as before", "loaded as its files specify", "refused")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=60.0, help="limit per case")
    parser.add_argument("--only", help="only cases whose name contains this")
    arguments = parser.parse_args()
    counts = collections.Counter()
    with tempfile.TemporaryDirectory() as name:
        root = pathlib.Path(name)
        model = write_valid_preset(root / "valid")
        expected = numbers_of(model)
        for number, (name, case) in enumerate(_cases(arguments)):
            outcome, detail, seconds = _try(
                root, name, case, (arguments.seed, number), expected, arguments.seconds
            )
            counts[outcome] += 1
            print(f"{outcome:26} {seconds:5.1f} s  {name}: {detail:.230}", flush=True)
    print("\n" + "\n".join(f"{n:4} {outcome}" for outcome, n in counts.most_common()))
    sys.exit(any(outcome not in _ACCEPTED for outcome in counts))


def _cases(arguments):
    cases = [*CASES.items()][: arguments.count]
    cases += [(f"random {n}", None) for n in range(arguments.count - len(cases))]
    wanted = arguments.only or ""
    return [(name, case) for name, case in cases if wanted in name]


def _try(root, name, case, seed, expected, seconds):
    folder, outside = root / "case" / "preset", root / "case" / "outside"
    write_outside(outside)
    shutil.copytree(root / "valid", folder)
    random = np.random.default_rng(seed)
    if case is None:
        name, load_weights = random_change(folder, random), True
    else:
        case.change(folder, outside, random)
        load_weights = case.load_weights
    start = time.perf_counter()
    outcome, detail = _in_child(folder, load_weights, expected, seconds)
    taken = time.perf_counter() - start
    shutil.rmtree(root / "case")
    if outcome == "loaded as before" and case is not None:
        outcome = "loaded although hostile"
    if outcome == "different" and case is not None:
        outcome = "loaded although hostile"
    if outcome == "different":
        # Without checksums, such a change cannot be detected.
        says = (" = ", ".json changed", "without checksums changed")
        is_as_said = any(part in name for part in says)
        outcome = "loaded as its files specify" if is_as_said else "silently different"
    return outcome, f"{name if case is None else ''} {detail}", taken


def _in_child(folder, load_weights, expected, seconds):
    """Loads a preset in a child process with limits; returns outcome and detail."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _run_child(folder, load_weights, expected, writer)
    os.close(writer)
    limit = resident_bytes(os.getpid()) + _MEMORY
    outcome = _watch(child, limit, seconds)
    with os.fdopen(reader) as file:
        report = file.read()
    if outcome is not None:
        return outcome, ""
    if not report:
        return "crash", ""
    return json.loads(report)


def _watch(child, limit, seconds):
    end = time.monotonic() + seconds
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        outcome = None
        if time.monotonic() > end:
            outcome = "hang"
        elif resident_bytes(child) > limit:
            outcome = "out of memory"
        if outcome is not None:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return outcome
        time.sleep(0.02)
    return None


def _run_child(folder, load_weights, expected, writer):
    os.chdir(folder.parent / "outside")
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + _ADDRESSES,) * 2)
    reached = set()
    watch_files(folder.parent, reached)
    result = _outcome(folder, load_weights, expected)
    if reached:
        result = "reached outside", f"{sorted(reached)[:3]}; {result}"
    os.write(writer, json.dumps(result).encode())
    os._exit(0)


def _outcome(folder, load_weights, expected):
    saved = folder.parent / "saved"
    try:
        model = keras_vatt.VATT.from_preset(folder, load_weights=load_weights)
        found = numbers_of(model)
        model.save_to_preset(saved)
    except MemoryError:
        return "out of memory", traceback.format_exc()[-300:]
    except Exception as error:
        return kind_of_error(error), f"{type(error).__name__}: {error}"[:400]
    if any(CANARY in path.read_text("latin-1") for path in _files(saved)):
        return "copied from outside", ""
    if not np.isfinite(found["embedding"]).all():
        return "silently different", "not finite"
    same = all(np.array_equal(found[name], expected[name]) for name in expected)
    return ("loaded as before" if same else "different"), ""


def _files(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


if __name__ == "__main__":
    keras.utils.set_random_seed(0)
    main()
