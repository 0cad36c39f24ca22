"""Measures the latency of a search, and the recall of the approximate one.

The vectors are random: unit vectors without any structure, which are the worst case of
an approximate index, and unit vectors around random centers, as of media of some kinds.

    python benchmarks/search_index.py --rows 100000 --dim 512
"""

import argparse
import pathlib
import tempfile
import time

import numpy as np

from keras_vatt.search._index_run import IndexRun
from keras_vatt.search._locations import open_store
from keras_vatt.search._media_files import MediaFile
from keras_vatt.search._windows import Window

_HEADER = {
    "model": {"preset": None},
    "window_seconds": 1.0,
    "short_clips": "repeat",
    "folder": "media",
}


def unit(vectors):
    """Returns float32 rows of length 1."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return (vectors / lengths).astype(np.float32)


def uniform(random, rows, dim):
    """Returns random unit vectors."""
    return unit(random.normal(size=(rows, dim)))


def clustered(random, rows, dim):
    """Returns unit vectors around one center per 200 rows."""
    centers = random.normal(size=(max(1, rows // 200), dim))
    noise = random.normal(size=(rows, dim))
    return unit(centers[random.integers(0, len(centers), rows)] + 0.7 * noise)


def measure(vectors, queries, folder):
    """Makes an index and searches it; returns the measurements by name."""
    store = open_store(folder)
    run = IndexRun(store, _HEADER)
    file = MediaFile("a.mp4", 1, 1)
    windows = [Window(file, float(n), n + 1.0) for n in range(len(vectors))]
    started = time.perf_counter()
    for window, vector in zip(windows, vectors, strict=True):
        run.add(window, {"video": {"to_text": vector[np.newaxis]}})
    run.flush()
    written = time.perf_counter()
    run.finish(windows, [], approximate=True)
    finished = time.perf_counter()
    measured = open_store(folder).read_header()["approximate"]
    entry = measured.get("video_to_text", {})
    return {
        "write_s": written - started,
        "finish_s": finished - written,
        "exact_ms": _latency(store, queries, None),
        "approximate_ms": _latency(store, queries, entry.get("probes")),
        **entry,
    }


def _latency(store, queries, probes):
    store.nearest("video_to_text", queries[0].astype(np.float64), 10, probes)
    started = time.perf_counter()
    for query in queries:
        store.nearest("video_to_text", query.astype(np.float64), 10, probes)
    return 1000 * (time.perf_counter() - started) / len(queries)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--queries", type=int, default=50)
    arguments = parser.parse_args()
    for draw in (uniform, clustered):
        random = np.random.default_rng(0)
        vectors = draw(random, arguments.rows + arguments.queries, arguments.dim)
        with tempfile.TemporaryDirectory() as folder:
            queries = vectors[arguments.rows :]
            index = pathlib.Path(folder, "index")
            measured = measure(vectors[: arguments.rows], queries, index)
        print(draw.__name__, measured)


if __name__ == "__main__":
    main()
