"""Converts damaged checkpoints, each in its own process, and counts the outcomes.

    KERAS_BACKEND=torch python benchmarks/fuzz_original_checkpoints.py --output results

The kinds of damage are those of `tests/conversion/damages.py`, with fixed seeds. To
compare versions, `--library` names another checkout whose keras_vatt converts the same
files. (Linux only.)

Outcomes: `crash` (the process died), `hang` (it did not finish within `--seconds`),
`wrong exception` (its message does not name the checkpoint), `silent difference` (wrong
weights were converted), `clear error`, and `unaffected` (correct weights were
converted).
"""

import argparse
import collections
import json
import os
import pathlib
import resource
import signal
import subprocess
import sys
import tempfile
import time

_ROOT = pathlib.Path(__file__).parents[1]
_GOLDEN = _ROOT / "tests" / "golden" / "vit_classifier"
_OUTCOMES = ("crash", "hang", "wrong exception", "silent difference", "clear error")
_OUTCOMES += ("unaffected",)
_REFERENCE = "reference.npz"
# More memory than these small checkpoints need, besides the libraries.
_MEMORY = 2 * 2**30
COLUMNS = {
    "damage": lambda r: r["damage"],
    **{k: lambda r, k=k: str(r["outcomes"].get(k, 0)) for k in _OUTCOMES},
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", default="results")
    parser.add_argument("--name", default="fuzz_original_checkpoints")
    parser.add_argument("--cases", type=int, default=150)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--library", default=str(_ROOT), help="checkout of keras_vatt")
    # Options of the child process that imports the library.
    parser.add_argument("--trials", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.trials:
        _try_all(pathlib.Path(arguments.trials), arguments.seconds)
    else:
        _measure(arguments)


def _measure(arguments):
    from report import environment, write

    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        damages = _make_cases(folder, arguments.cases, arguments.seed)
        command = [sys.executable, __file__, "--trials", name]
        subprocess.run(
            [*command, "--seconds", str(arguments.seconds)],
            check=True,
            env={**os.environ, "PYTHONPATH": arguments.library},
        )
        trials = json.loads((folder / "trials.json").read_text())
    for trial, damage in zip(trials, damages, strict=True):
        trial["damage"] = damage
    groups = collections.defaultdict(collections.Counter)
    for trial in trials:
        groups[trial["damage"]][trial["outcome"]] += 1
        groups["all"][trial["outcome"]] += 1
    results = [{"damage": k, "outcomes": dict(v)} for k, v in groups.items()]
    results.append(results.pop([r["damage"] for r in results].index("all")))
    settings = {k: v for k, v in vars(arguments).items() if k != "library"}
    report = {"environment": environment(), "settings": settings, "results": results}
    write(arguments.output, arguments.name, {**report, "trials": trials}, COLUMNS)


def _make_cases(folder, count, seed):
    """Writes the damaged checkpoints, and returns the names of the kinds of damage."""
    sys.path.insert(0, str(_ROOT))
    from tests.conversion.damages import copy_checkpoint, damage, write_other

    source = _GOLDEN / "ckpt-100000"
    write_other(source, folder / "other")
    damages = []
    for number in range(count):
        case = folder / f"{number:04d}"
        case.mkdir()
        copy_checkpoint(source, case / "ckpt")
        damages.append(damage(number, case / "ckpt", folder / "other", seed))
    return damages


def _try_all(folder, seconds):
    """Converts all cases with the imported keras_vatt."""
    # Imported once here, because the process of each case is a fork of this one.
    import tensorflow as tf  # noqa: F401

    from keras_vatt.conversion import convert  # noqa: F401

    source = _GOLDEN / "ckpt-100000"
    reference = _in_child(lambda: _converted(source, folder, is_reference=True), 600)
    assert reference["outcome"] == "unaffected", reference
    trials = []
    for case in sorted(folder.glob("[0-9]*")):
        trials.append(
            _in_child(lambda case=case: _converted(case / "ckpt", folder), seconds)
        )
        print(case.name, trials[-1], file=sys.stderr, flush=True)
    (folder / "trials.json").write_text(json.dumps(trials))


def _in_child(function, seconds):
    """Returns the outcome of a function in a child process, a dict."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        _run_and_exit(function, writer)
    os.close(writer)
    end = time.monotonic() + seconds
    status = None
    while status is None and time.monotonic() < end:
        finished, code = os.waitpid(child, os.WNOHANG)
        status = code if finished else None
        time.sleep(0.02)
    if status is None:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    with os.fdopen(reader) as file:
        text = file.read()
    if status is None:
        return {"outcome": "hang", "message": ""}
    if os.WIFSIGNALED(status) or not text:
        return {"outcome": "crash", "message": f"status {status}"}
    return json.loads(text)


def _run_and_exit(function, writer):
    used = int(pathlib.Path("/proc/self/statm").read_text().split()[0])
    limit = used * resource.getpagesize() + _MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    try:
        result = function()
    except BaseException as error:  # Any exception is an outcome to report.
        result = {"outcome": "wrong exception", "message": repr(error)[:500]}
    os.write(writer, json.dumps(result).encode())
    os._exit(0)


def _converted(prefix, folder, is_reference=False):
    import keras
    import numpy as np

    from keras_vatt.conversion import convert

    config = json.loads((_GOLDEN / "config.json").read_text())
    with tempfile.TemporaryDirectory() as name:
        try:
            model = convert(prefix, config, pathlib.Path(name) / "preset")
        except (FileNotFoundError, ValueError) as error:
            message = f"{type(error).__name__}: {error}"[:500]
            is_clear = "checkpoint" in str(error)
            outcome = "clear error" if is_clear else "wrong exception"
            return {"outcome": outcome, "message": message}
    weights = [keras.ops.convert_to_numpy(weight) for weight in model.weights]
    if is_reference:
        np.savez(folder / _REFERENCE, *weights)
    with np.load(folder / _REFERENCE) as arrays:
        pairs = zip(weights, arrays.values(), strict=True)
        is_same = all(map(np.array_equal, *zip(*pairs, strict=True)))
    outcome = "unaffected" if is_same else "silent difference"
    return {"outcome": outcome, "message": ""}


if __name__ == "__main__":
    main()
