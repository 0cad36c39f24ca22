"""Damages the checkpoints of a run in seeded ways, resumes it, and counts the outcomes.

    KERAS_BACKEND=torch python benchmarks/fuzz_run_checkpoints.py

A tiny run keeps its two newest checkpoints. In four of five trials, the newest one is
damaged; otherwise both are. A separate process then resumes the run. The first three
outcomes are correct:

| outcome | what happened |
|---|---|
| fell back | resumed from the older checkpoint, with a warning that names the folder |
| clear error | a one-line error says that no checkpoint is intact |
| as undamaged | resumed from the newest checkpoint with the saved state |
| silently older | resumed from the older checkpoint without a warning |
| silently different | resumed with a different state |
| wrong exception | raised anything but a one-line `ValueError` that names the folder |
| crash, hang | the process died or did not finish in time |
"""

import argparse
import collections
import hashlib
import json
import os
import pathlib
import select
import shutil
import subprocess
import sys
import tempfile
import warnings

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from cases import QUICK_CASES, random_batch, vatt
from checkpoint_damage import damage

from keras_vatt.training import RunCheckpoint

OUTCOMES = ["fell back", "clear error", "as undamaged", "silently older"]
OUTCOMES += ["silently different", "wrong exception", "crash", "hang"]
OLDER, NEWEST = 1, 2


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=120, help="limit per trial")
    parser.add_argument("--resume-all", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.resume_all:
        resume_all()
        return
    with tempfile.TemporaryDirectory() as folder:
        counts = fuzz(pathlib.Path(folder), arguments.trials, arguments.seconds)
    print(f"\n{arguments.trials} trials, {keras.config.backend()}")
    for outcome in OUTCOMES:
        print(f"{outcome:20}{counts[outcome]:4}")


def fuzz(folder, trials, seconds):
    """Runs the trials and counts their outcomes."""
    states = make_run(folder / "run")
    counts, resumer = collections.Counter(), None
    for trial in range(trials):
        random = np.random.default_rng(trial)
        copy = folder / str(trial)
        shutil.copytree(folder / "run", copy)
        done = [damage(copy / str(NEWEST), copy / str(OLDER), random)]
        if random.integers(5) == 0:
            done.append(damage(copy / str(OLDER), copy / str(NEWEST), random))
        if resumer is None or resumer.poll() is not None:
            resumer = start_resumer()
        outcome, detail = judge(resume(resumer, copy, seconds), states)
        counts[outcome] += 1
        place = "; ".join(done).replace(f"{copy}/", "")
        print(f"{trial:3} {place} -> {outcome}. {detail}", flush=True)
        shutil.rmtree(copy)
    resumer.kill()
    return counts


def make_run(folder):
    """Creates two checkpoints, and returns the digest of the state of each, by step."""
    model, checkpoint = run_in(folder, seed=0)
    states = {}
    for step in (OLDER, NEWEST):
        model.train_on_batch(random_batch(QUICK_CASES["0.24"]))
        checkpoint.steps, checkpoint.epoch = step, step
        checkpoint.history = [{"loss": float(epoch)} for epoch in range(step)]
        checkpoint.save()
        states[step] = state_of(model, checkpoint)
    checkpoint.wait()
    return states


def run_in(folder, seed):
    model = vatt(QUICK_CASES["0.24"], "adam", harmonizer="realign", run_eagerly=True)
    random = np.random.default_rng(seed)
    for variable in model.trainable_variables:
        variable.assign(random.normal(size=variable.shape))
    checkpoint = RunCheckpoint(folder)
    checkpoint.set_model(model)
    return model, checkpoint


def state_of(model, checkpoint):
    digest = hashlib.sha256()
    run = [checkpoint.steps, checkpoint.epoch, checkpoint.step_in_epoch]
    digest.update(json.dumps([run, checkpoint.history]).encode())
    variables = model.variables + model.optimizer.variables + model.metrics_variables
    for variable in variables:
        digest.update(np.asarray(keras.ops.convert_to_numpy(variable.value)).tobytes())
    return digest.hexdigest()


def resume_all():
    """Resumes the run in each folder read from standard input; prints the results."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # Libraries may print to standard output too.
    for line in sys.stdin:
        print(json.dumps(resume_one(json.loads(line))), file=out, flush=True)


def resume_one(folder):
    model, checkpoint = run_in(folder, seed=1)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            step = checkpoint.restore(model)
        state = state_of(model, checkpoint)
        # Check that the run can continue.
        checkpoint.steps += 1
        checkpoint.save()
        checkpoint.wait()
    except BaseException as error:
        kind = "ValueError" if isinstance(error, ValueError) else type(error).__name__
        return {"folder": folder, "error": kind, "text": str(error)}
    texts = [str(warning.message) for warning in caught]
    return {"folder": folder, "step": step, "state": state, "warnings": texts}


def start_resumer():
    command = [sys.executable, __file__, "--resume-all"]
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def resume(resumer, folder, seconds):
    """Returns what the resuming process reports, or `"crash"` or `"hang"`."""
    resumer.stdin.write(json.dumps(str(folder)) + "\n")
    resumer.stdin.flush()
    if not select.select([resumer.stdout], [], [], seconds)[0]:
        resumer.kill()
        resumer.wait()
        return "hang"
    answer = resumer.stdout.readline()
    if not answer:
        resumer.wait()
        return "crash"
    return json.loads(answer)


def judge(answer, states):
    """Returns the outcome of a trial and the message that the user saw."""
    if isinstance(answer, str):
        return answer, ""
    if "error" in answer:
        text = answer["text"]
        is_clear = answer["error"] == "ValueError" and "\n" not in text
        outcome = "clear error" if is_clear and answer["folder"] in text else ""
        told = f"{answer['error']}: {text[:300]!r}"
        return outcome or "wrong exception", told
    told = "; ".join(text for text in answer["warnings"] if answer["folder"] in text)
    if answer["state"] != states.get(answer["step"]):
        return "silently different", told
    if answer["step"] == NEWEST:
        return "as undamaged", told
    return ("fell back" if told else "silently older"), told


if __name__ == "__main__":
    main()
