"""Measures the resident memory of the input pipeline over many samples.

    KERAS_BACKEND=torch python benchmarks/input_memory.py

Reads batches of `make_dataset` in training, from shards of each format and from a
folder of files, each in a process of its own. Resident memory is read every 500
samples, after a warm-up. The slope is that of a line by least squares, with its
standard error, over all samples and over the second half of them: a leak has the same
slope in both, while an allocator that still adds memory for threads levels off.
"""

import argparse
import concurrent.futures
import itertools
import multiprocessing
import os
import pathlib
import tempfile
import time

import numpy as np
from measurement import status_bytes
from report import environment, mebibytes, progress, write

from keras_vatt.data import (
    ClipSource,
    ClipSpec,
    StoredClips,
    StoredForm,
    make_dataset,
    make_demo_corpus,
    open_records,
    prepare_shards,
    read_corpus,
)

_FORMATS = ("arrayrecord", "tfrecord", "webdataset")
_SPEC = ClipSpec(8, frame_size=64, sampling_rate=16_000)
_FORM = StoredForm(frame_size=64, sampling_rate=16_000, min_seconds=2.4)
_COLUMNS = {
    "source": lambda r: r["source"],
    "samples": lambda r: str(r["samples"]),
    "samples/s": lambda r: f"{r['rate']:.0f}",
    "MiB at first": lambda r: mebibytes(r["resident"]["first"]),
    "at the end": lambda r: mebibytes(r["resident"]["last"]),
    "growth": lambda r: mebibytes(r["resident"]["growth"]),
    "bytes per sample": lambda r: _slope(r["resident"]),
    "in the second half": lambda r: _slope(r["second_half"]),
}


def main():
    arguments = _arguments()
    report = {"environment": environment(), "settings": vars(arguments)}
    report["results"] = []
    with tempfile.TemporaryDirectory() as folder:
        corpus = make_demo_corpus(
            pathlib.Path(folder) / "files", arguments.clips, 0, progress=False
        )
        for name in _FORMATS:
            output = corpus.with_name(name)
            prepare_shards(corpus, output, name, 4, _FORM, progress=False)
        for name in arguments.sources:
            progress(name)
            place = str(corpus.with_name(name))
            # A new process, so that memory of the previous source does not count.
            context = multiprocessing.get_context("spawn")
            with concurrent.futures.ProcessPoolExecutor(1, context) as pool:
                result = pool.submit(measure, name, place, vars(arguments)).result()
            report["results"].append(result)
    write(arguments.output, "input_memory", report, _COLUMNS)


def measure(name, place, settings):
    """Returns the memory of one source over many samples."""
    every, batch_size = settings["every"], settings["batch"]
    batches = iter(make_dataset(_source(name, place), batch_size, training=True))
    for _ in range(settings["warmup"] // batch_size):
        next(batches)
    samples = np.arange(0, settings["samples"] + 1, every)
    sizes = []
    start = time.perf_counter()
    for index, _ in enumerate(samples):
        sizes.append(status_bytes("VmRSS"))
        if index < len(samples) - 1:
            for _ in itertools.islice(batches, every // batch_size):
                pass
    seconds = time.perf_counter() - start
    half = len(samples) // 2
    return {
        "source": name,
        "samples": int(samples[-1]),
        "rate": float(samples[-1] / seconds),
        "resident": _line(samples, sizes),
        "second_half": _line(samples[half:], sizes[half:]),
    }


def tokenize(texts):
    """Returns 16 words for each text."""
    return np.ones((len(texts), 16), np.int32)


def _source(name, place):
    if name == "files":
        segments, _ = read_corpus(place)
        return ClipSource(segments, _SPEC, tokenize, training=True)
    records = open_records(place).splits["train"]
    return StoredClips(records, _SPEC, tokenize, training=True)


def _line(samples, sizes):
    """Fits a line; the standard error is `inf` for less than three points."""
    sizes = np.array(sizes, float)
    slope, offset = np.polyfit(samples, sizes, 1)
    residuals = sizes - offset - slope * samples
    error = np.inf
    if len(samples) > 2:
        variance = (residuals**2).sum() / (len(samples) - 2)
        error = np.sqrt(variance / ((samples - samples.mean()) ** 2).sum())
    return {
        "first": int(sizes[0]),
        "last": int(sizes[-1]),
        "growth": int(sizes[-1] - sizes[0]),
        "slope": float(slope),
        "standard_error": float(error),
        "sizes": sizes.astype(int).tolist(),
    }


def _slope(line):
    return f"{line['slope']:.1f} ± {line['standard_error']:.1f}"


def _arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", default="results", help="folder of the report")
    parser.add_argument("--sources", nargs="+", default=[*_FORMATS, "files"])
    parser.add_argument("--clips", type=int, default=120)
    parser.add_argument("--samples", type=int, default=20_000)
    parser.add_argument("--warmup", type=int, default=2_000)
    parser.add_argument("--every", type=int, default=500)
    parser.add_argument("--batch", type=int, default=20)
    return parser.parse_args()


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main()
