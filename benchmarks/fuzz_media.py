"""Decodes damaged media files with every entry point, each file in its own process.

    KERAS_BACKEND=torch PYTHONPATH=. python benchmarks/fuzz_media.py --count 500

Valid files of 13 formats are damaged at random: flipped bytes, changed header fields,
truncation, and swapped, repeated and zeroed blocks. A child process reads each file
with all entry points under a limit of time and memory. The correct outcomes are a
result of the right shape and a `MediaError`. Afterward, one process reads the same
files many times to detect leaks. (Linux only.)
"""

import argparse
import collections
import gc
import json
import os
import pathlib
import resource
import signal
import sys
import tempfile
import time

import keras
import numpy as np
from fuzz_media_files import damaged, write_valid_files
from measurement import resident_bytes, status_bytes

import keras_vatt
from keras_vatt.data import (
    ClipSource,
    ClipSpec,
    MediaError,
    Segment,
    decode_clip,
    probe,
)
from keras_vatt.data.decoding._images import raw_images
from keras_vatt.data.decoding._raw_clips import raw_frames, raw_waveform
from keras_vatt.search._media_files import MediaFile
from keras_vatt.search._thumbnails import thumbnail
from keras_vatt.search._windows import WindowReader

_SPEC = ClipSpec(num_frames=8, frame_size=32, sampling_rate=16_000)
_RESIDENT = 1_000_000_000  # Memory limit in bytes, above the memory of the parent.
_ADDRESSES = 8_000_000_000
_ACCEPTED = frozenset({"decoded", "refused"})
_MODEL_EVERY = 10  # One of this many files also runs through the model.
_LEAK_FILES, _LEAK_ROUNDS = 24, 12
_LEAK_BYTES, _LEAK_DESCRIPTORS = 16_000_000, 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=20.0, help="limit per file")
    parser.add_argument("--jobs", type=int, default=2, help="parallel processes")
    parser.add_argument("--only", type=int, help="only the file with this number")
    parser.add_argument("--keep", help="folder to copy files with a wrong outcome to")
    arguments = parser.parse_args()
    if keras.config.backend() == "torch":
        import torch

        torch.set_num_threads(1)  # Threads do not survive a fork.
    model = keras_vatt.VATT.from_preset("vatt_tiny_agnostic")
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        cases = list(_cases(folder, arguments))
        reports = _run_all(cases, model, arguments)
        is_bad = _print_reports(cases, reports, arguments.keep)
        if arguments.only is None:
            paths = [path for _, path in cases[:_LEAK_FILES]]
            is_bad |= _print_leaks(paths)
    sys.exit(is_bad)


def _cases(folder, arguments):
    """Yields the number and the path of each damaged file."""
    valid = write_valid_files(folder / "valid")
    for number in range(arguments.count):
        source = valid[number % len(valid)]
        random = np.random.default_rng((arguments.seed, number))
        content = source.read_bytes()
        if number >= len(valid):  # The first file of each format is not damaged.
            content = damaged(content, random)
        if arguments.only in (None, number):
            path = folder / f"{number}{source.suffix}"
            path.write_bytes(content)
            yield number, path


def entry_points(path, model=None):
    """Returns the functions that read a file, by name. They have no arguments."""
    entries = {
        "probe": lambda: probe(path),
        "decode_clip": lambda: _check_clip(decode_clip(path, 0.3, _SPEC)),
        "raw_frames": lambda: _check_frames(raw_frames(path, _SPEC, 2, 2)),
        "raw_frames of bytes": lambda: _check_frames(
            raw_frames(path.read_bytes(), _SPEC)
        ),
        "raw_waveform": lambda: _check_waveform(raw_waveform(path, _SPEC, 2)),
        "raw_images": lambda: _check_frames(raw_images(path, 32)),
        "thumbnail": lambda: thumbnail(path, 0.0, 1.0),
        "ClipSource": lambda: _read_source(path),
    }
    if path.suffix not in (".png", ".bmp"):
        entries["embed"] = lambda: _read_windows(path)
    if model is not None:
        entries["encode video"] = lambda: model.encode(video=[str(path)])
        entries["encode audio"] = lambda: model.encode(audio=[str(path)])
    return entries


def _check_clip(clip):
    frames, waveform = clip
    _check_frames(frames)
    if waveform is not None:
        _check_waveform(waveform)


def _check_frames(frames):
    if frames.dtype != np.uint8 or frames.shape[-3:] != (32, 32, 3):
        raise AssertionError(f"frames of shape {frames.shape}")


def _check_waveform(waveform):
    if waveform.shape[-1] != _SPEC.audio_samples or not np.isfinite(waveform).all():
        raise AssertionError(f"waveform of shape {waveform.shape}, or not finite")


def _read_source(path):
    def tokenize(texts):
        return np.ones((len(texts), 2), np.int32)

    source = ClipSource([Segment(str(path), caption="a clip")], _SPEC, tokenize)
    if len(source):
        source[0]
    elif not source.report.findings:
        raise AssertionError("left out without a finding")


def _read_windows(path):
    file = MediaFile(path.name, path.stat().st_size, 0)
    reader = WindowReader(path.parent, _SPEC)
    windows, findings = reader.cut([file], _SPEC.duration)
    if not windows and not findings:
        raise AssertionError("left out without a finding")
    if len(windows) > 100:
        raise AssertionError(f"{len(windows)} windows of a file of 3 seconds")
    for window in windows[:4]:
        reader.decode(window)


def _run_all(cases, model, arguments):
    """Returns the report of each case: a list of (entry point, outcome, detail)."""
    waiting, running, reports = list(cases)[::-1], {}, {}
    while waiting or running:
        while waiting and len(running) < arguments.jobs:
            number, path = waiting.pop()
            has_model = number % _MODEL_EVERY == 0
            child, log = _start(path, model if has_model else None)
            running[number] = child, log, time.monotonic() + arguments.seconds
        for number, (child, log, deadline) in list(running.items()):
            outcome = _outcome_of(child, deadline)
            if outcome is None:
                continue
            del running[number]
            reports[number] = _read_log(log, outcome)
            if len(reports) % 50 == 0:
                print(f"{len(reports)} files", flush=True)
        time.sleep(0.01)
    return reports


def _start(path, model):
    log = path.with_suffix(".log")
    child = os.fork()
    if child == 0:
        try:
            _run_child(path, model, log)
        finally:
            os._exit(0)
    return child, log


def _run_child(path, model, log):
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    used = status_bytes("VmSize")
    resource.setrlimit(resource.RLIMIT_AS, (used + _ADDRESSES,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with log.open("w") as file:
        for name, run in entry_points(path, model).items():
            print(json.dumps([name]), file=file, flush=True)
            outcome, detail = _try(run)
            print(json.dumps([name, outcome, detail]), file=file, flush=True)


def _try(run):
    try:
        run()
    except MediaError as error:
        return "refused", error.reason[:200]
    except MemoryError:
        return "out of memory", ""
    except AssertionError as error:
        return "wrong result", str(error)
    except BaseException as error:
        return "wrong exception", f"{type(error).__name__}: {error}"[:200]
    return "decoded", ""


def _outcome_of(child, deadline):
    """Returns how a child process ended, or `None` while it runs."""
    done, status = os.waitpid(child, os.WNOHANG)
    if done:
        return "crash" if os.WIFSIGNALED(status) else "ended"
    if time.monotonic() > deadline:
        outcome = "hang"
    elif resident_bytes(child) > resident_bytes(os.getpid()) + _RESIDENT:
        outcome = "out of memory"
    else:
        return None
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return outcome


def _read_log(log, outcome):
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    report = [line for line in lines if len(line) == 3]
    if outcome != "ended":
        # The entry point that did not finish.
        report.append([lines[-1][0] if lines else "start", outcome, ""])
    return report


def _print_reports(cases, reports, keep):
    counts = collections.defaultdict(collections.Counter)
    bad_files = collections.defaultdict(list)
    for number, path in cases:
        for name, outcome, detail in reports[number]:
            counts[name][outcome] += 1
            if outcome not in _ACCEPTED:
                bad_files[path].append(f"{outcome} in {name}: {detail}")
    for path, lines in bad_files.items():
        print(f"{path.name}: " + "\n    ".join(lines))
        if keep:
            target = pathlib.Path(keep) / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    names = ["decoded", "refused", "wrong exception", "wrong result", "crash", "hang"]
    names.append("out of memory")
    print(f"\n| entry point | {' | '.join(names)} |\n|---|{'---|' * len(names)}")
    for entry, outcomes in counts.items():
        print(f"| {entry} | {' | '.join(str(outcomes[n]) for n in names)} |")
    print(f"\n{len(cases)} files, {len(bad_files)} with a wrong outcome")
    return bool(bad_files)


def _print_leaks(paths):
    """Reads the same files many times in one process, and returns whether it leaks."""
    sizes, descriptors = [], []
    for _ in range(_LEAK_ROUNDS):
        for path in paths:
            for run in entry_points(path).values():
                _try(run)
        gc.collect()
        sizes.append(status_bytes("VmRSS"))
        descriptors.append(len(os.listdir("/proc/self/fd")))
    # Buffers still grow in the first rounds.
    growth = sizes[-1] - sizes[_LEAK_ROUNDS // 2]
    opened = descriptors[-1] - descriptors[_LEAK_ROUNDS // 2]
    print(
        f"{len(paths)} files read {_LEAK_ROUNDS} times: resident memory grew by "
        f"{growth / 1e6:.1f} MB and file descriptors by {opened} in the second half"
    )
    return growth > _LEAK_BYTES or opened > _LEAK_DESCRIPTORS


if __name__ == "__main__":
    keras.utils.set_random_seed(0)
    main()
