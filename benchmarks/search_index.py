"""Measures the latency of a search, and the recall of the approximate one.

The exact search is compared with NumPy, which multiplies a float32 matrix in memory by
the query and partitions the products, in pairs of alternating order. The vectors are
random: unit vectors without any structure, which are the worst case of an approximate
index, and with `--approximate` also unit vectors around random centers, as of media of
some kinds.

    python benchmarks/search_index.py --rows 100000 --dim 512
"""

import argparse
import itertools
import pathlib
import tempfile
import time

import numpy as np
from measurement import interleaved

from keras_vatt.search._index_run import IndexRun
from keras_vatt.search._locations import open_store
from keras_vatt.search._media_files import MediaFile
from keras_vatt.search._media_index import MediaIndex
from keras_vatt.search._nearest import ExactSearch
from keras_vatt.search._windows import Window

_TOP_K, _PAIRS = 10, 25

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
    return unit(random.standard_normal((rows, dim), np.float32))


def clustered(random, rows, dim):
    """Returns unit vectors around one center per 200 rows."""
    centers = random.normal(size=(max(1, rows // 200), dim))
    noise = random.normal(size=(rows, dim))
    return unit(centers[random.integers(0, len(centers), rows)] + 0.7 * noise)


def measure(vectors, queries, folder, approximate):
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
    run.finish(windows, [], approximate=approximate)
    finished = time.perf_counter()
    measured = open_store(folder).read_header().get("approximate", {})
    entry = measured.get("video_to_text", {})
    times = {"write_s": written - started, "finish_s": finished - written}
    times |= _cold(folder, vectors, queries) | _exact(store, vectors, queries)
    if entry:
        times["approximate_ms"] = _latency(store, queries, entry["probes"])
    return times | entry


def _cold(folder, vectors, queries):
    """Opens the index and searches once; NumPy reads the same vectors from a file.

    The files are in the page cache of the operating system.
    """
    opened = time.perf_counter()
    index = MediaIndex.load(folder)
    searched = time.perf_counter()
    index.search_vector(queries[0], "video_to_text")
    ended = time.perf_counter()
    path = folder.parent / "vectors.npy"
    np.save(path, vectors)
    loaded = time.perf_counter()
    _plain(np.load(path), queries[:1])
    cold = time.perf_counter() - loaded
    path.unlink()
    return {
        "open_ms": 1000 * (searched - opened),
        "first_search_ms": 1000 * (ended - searched),
        "numpy_first_ms": 1000 * cold,
    }


def _exact(store, vectors, queries):
    """Searches in memory, one query or 32 at once, and the same by NumPy."""
    one = iter(itertools.cycle(queries.astype(np.float64)))
    search = ExactSearch(store.table, "video_to_text")
    many = queries[:32].astype(np.float64)
    pairs = {
        "1_query": (
            lambda: store.nearest("video_to_text", next(one), _TOP_K),
            lambda: _plain(vectors, next(one)[np.newaxis].astype(np.float32)),
        ),
        "32_queries": (
            lambda: search.nearest(many, _TOP_K),
            lambda: _plain(vectors, queries[:32]),
        ),
    }
    times = {}
    for name, (ours, plain) in pairs.items():
        ours(), plain()
        usages = interleaved({"ours": ours, "plain": plain}, _PAIRS)
        our_times, plain_times = (
            np.array([usage.seconds for usage in usages[key]])
            for key in ("ours", "plain")
        )
        times[f"{name}_ms"] = 1000 * np.median(our_times)
        times[f"{name}_numpy_ms"] = 1000 * np.median(plain_times)
        times[f"{name}_ratio"] = np.median(our_times / plain_times)
    return times


def _plain(vectors, queries):
    """Searches by NumPy alone, without exact scores and ties."""
    products = vectors @ (queries[0] if len(queries) == 1 else queries.T)
    products = products.reshape(len(vectors), -1).T
    best = np.argpartition(products, -_TOP_K, axis=1)[:, -_TOP_K:]
    scores = np.take_along_axis(products, best, axis=1)
    return np.take_along_axis(best, np.argsort(-scores, axis=1), axis=1)


def _latency(store, queries, probes):
    store.nearest("video_to_text", queries[0].astype(np.float64), _TOP_K, probes)
    started = time.perf_counter()
    for query in queries:
        store.nearest("video_to_text", query.astype(np.float64), _TOP_K, probes)
    return 1000 * (time.perf_counter() - started) / len(queries)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--queries", type=int, default=50)
    parser.add_argument("--approximate", action="store_true")
    arguments = parser.parse_args()
    for draw in [uniform, clustered][: 2 if arguments.approximate else 1]:
        random = np.random.default_rng(0)
        vectors = draw(random, arguments.rows + arguments.queries, arguments.dim)
        with tempfile.TemporaryDirectory() as folder:
            queries = vectors[arguments.rows :]
            index = pathlib.Path(folder, "index")
            measured = measure(
                vectors[: arguments.rows], queries, index, arguments.approximate
            )
        print(draw.__name__)
        for name, value in measured.items():
            print(f"  {name}: {value:.4g}" if isinstance(value, float) else value)


if __name__ == "__main__":
    main()
