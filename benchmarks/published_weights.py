"""Measures the first and the second call that load a published checkpoint.

    KERAS_BACKEND=jax PYTHONPATH=. python benchmarks/published_weights.py
    KERAS_BACKEND=jax PYTHONPATH=. python benchmarks/published_weights.py --faults

A server on 127.0.0.1 serves a checkpoint of the form and the full size of
vatt_wat_base_audioset, with random weights. Each call runs in a new process: the first
with an empty cache, the second with the cache, and a third that loads a copy of the
converted preset as a local folder. The memory of a call is its peak resident memory
minus the resident memory before it; the disk is the size of the cache and of temporary
files, sampled every 50 ms. With `--faults`, the server, the environment or the process
fails in the ways of published_faults.py instead. (Linux only.)
"""

import argparse
import contextlib
import dataclasses
import json
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import zlib

PRESET = "vatt_wat_base_audioset"
_LISTING = "tests/golden/full_size_keys/finetune_wat_base_audioset_specific.tsv"
_ROOT = pathlib.Path(__file__).parents[1]
_SAMPLE_SECONDS = 0.05
COLUMNS = {
    "call": lambda r: r["call"],
    "import s": lambda r: f"{r['import_seconds']:.1f}",
    "call s": lambda r: f"{r['call_seconds']:.1f}",
    "memory / checkpoint": lambda r: f"{r['memory_ratio']:.2f}",
    "peak of the process MB": lambda r: f"{r['peak'] / 1e6:.0f}",
    "peak disk / checkpoint": lambda r: f"{r['peak_disk_ratio']:.2f}",
    "final disk / checkpoint": lambda r: f"{r['final_disk_ratio']:.2f}",
    "requests": lambda r: str(r["requests"]),
    "received MB": lambda r: f"{r['received'] / 1e6:.0f}",
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", default="results")
    parser.add_argument("--write", help="folder to write the checkpoint to, then stop")
    parser.add_argument("--weights", help="folder that was written with --write")
    parser.add_argument("--optimizer-slots", action="store_true")
    parser.add_argument("--faults", action="store_true")
    parser.add_argument("--only", default="", help="only faults with this in the name")
    # Options of the measured processes.
    parser.add_argument("--call", help=argparse.SUPPRESS)
    parser.add_argument("--max-file-bytes", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.call:
        _call(arguments.call, arguments.max_file_bytes)
    elif arguments.write:
        write_checkpoint(arguments.write, arguments.optimizer_slots)
    else:
        _measure(arguments)


def write_checkpoint(folder, optimizer_slots=False):
    """Writes the checkpoint below a folder, at its path below the base address."""
    from keras_vatt.conversion._original_checkpoint import read_key_listing
    from keras_vatt.storage._published_checkpoints import PUBLISHED
    from tests.published.original_files import write_original

    prefix = pathlib.Path(folder) / PUBLISHED[PRESET].path
    specs = read_key_listing(_ROOT / _LISTING)
    write_original(prefix, specs, optimizer_slots=optimizer_slots)


def _measure(arguments):
    from report import environment, write

    facts = environment()
    with contextlib.ExitStack() as stack:
        folder = arguments.weights
        if folder is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            write_checkpoint(folder, arguments.optimizer_slots)
        if arguments.faults:
            import published_faults as faults

            name, columns = "published_faults", faults.COLUMNS
            results = faults.try_faults(folder, arguments.only)
        else:
            name, columns, results = "published_weights", COLUMNS, _three_calls(folder)
    settings = {k: v for k, v in vars(arguments).items() if v and k != "weights"}
    report = {"environment": facts, "settings": settings, "results": results}
    write(arguments.output, name, report, columns)


def _three_calls(weights):
    from tests.published.weights_server import running_server

    size = sum(path.stat().st_size for path in pathlib.Path(weights).rglob("ckpt-*"))
    with running_server(weights) as server, workplace() as place:
        results = [call_once(server, place, PRESET) for _ in range(2)]
        with tempfile.TemporaryDirectory() as copy:
            (converted,) = {p.parent for p in place.home.rglob("*.safetensors")}
            shutil.copytree(converted, copy, dirs_exist_ok=True)
            results.append(call_once(server, place, copy))
    for call, result in zip(("first", "second", "folder"), results, strict=True):
        if result["error"]:
            sys.exit(f"The {call} call failed: {result['error']}")
        result |= {
            "call": call,
            "memory_ratio": result["memory"] / size,
            "peak_disk_ratio": result["peak_disk"] / size,
            "final_disk_ratio": result["final_disk"] / size,
        }
    return results


@dataclasses.dataclass
class Workplace:
    """The folders that a call writes to: the cache and temporary files."""

    folder: pathlib.Path

    @property
    def home(self):
        return self.folder / "home"

    @property
    def temporary(self):
        return self.folder / "tmp"

    def disk(self):
        """Returns the sizes of all files, each inode once."""
        sizes = {}
        for path in self.folder.rglob("*"):
            # Files are renamed and deleted in the meantime.
            with contextlib.suppress(OSError):
                status = path.lstat()
                sizes[status.st_ino] = status.st_size if path.is_file() else 0
        return sum(sizes.values())


@contextlib.contextmanager
def workplace():
    with tempfile.TemporaryDirectory() as name:
        place = Workplace(pathlib.Path(name))
        place.home.mkdir()
        place.temporary.mkdir()
        yield place


def start_call(server, place, preset, variables=None, options=()):
    """Starts a process that loads a preset; `variables` are of its environment."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
    environment |= {
        "HF_HOME": str(place.home),
        "TMPDIR": str(place.temporary),
        "KERAS_VATT_WEIGHTS_URL": server.url,
        **(variables or {}),
    }
    command = [sys.executable, __file__, "--call", str(preset), *options]
    return subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def call_once(server, place, preset, variables=None, options=()):
    """Loads a preset in a new process.

    Returns:
        Dict with the times, memory and error of the process, the disk that it used,
        and the requests that the server received.
    """
    server.requests.clear()
    peak, is_done = [place.disk()], threading.Event()
    sampler = threading.Thread(target=_sample_disk, args=(place, peak, is_done))
    sampler.start()
    process = start_call(server, place, preset, variables, options)
    result = result_of(process)
    is_done.set()
    sampler.join()
    return result | {
        "peak_disk": max(peak),
        "final_disk": place.disk(),
        "requests": len(server.requests),
        "received": server.sent,
    }


def result_of(process):
    """Returns the result of a process of `start_call`, when it has ended."""
    output, errors = process.communicate()
    if process.returncode:
        last = errors.strip().split("\n")[-1:]
        return {"error": f"exit status {process.returncode}: {''.join(last)}"}
    return json.loads(output.splitlines()[-1])


def _sample_disk(place, peak, is_done):
    while not is_done.wait(_SAMPLE_SECONDS):
        peak.append(place.disk())


def _call(preset, max_file_bytes):
    """Loads a preset in this process, and prints what it took."""
    start = time.perf_counter()
    import keras

    import keras_vatt

    imported = time.perf_counter()
    from measurement import peak_memory, status_bytes

    keras.layers.Dense(1)(keras.ops.ones((1, 1)))
    if max_file_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (max_file_bytes, max_file_bytes))
    loaded, error = [], ""
    seconds = time.perf_counter()

    def run():
        loaded.append(keras_vatt.VATTAudioClassifier.from_preset(preset))

    memory = 0
    try:
        memory = peak_memory(run, repeats=1)
    except Exception as caught:  # Any exception is a result to report.
        error = f"{type(caught).__name__}: {caught}"
    result = {
        "import_seconds": imported - start,
        "call_seconds": time.perf_counter() - seconds,
        "memory": memory,
        "peak": status_bytes("VmHWM"),
        "error": error,
        "checksum": _checksum(loaded),
    }
    print(json.dumps(result))


def _checksum(models):
    """Returns a checksum of the weights of some models."""
    import keras

    checksum = 0
    for model in models:
        for weight in model.weights:
            checksum = zlib.crc32(
                keras.ops.convert_to_numpy(weight).tobytes(), checksum
            )
    return checksum


if __name__ == "__main__":
    main()
