"""Indexes of random embeddings, without a model and without media."""

import numpy as np

from keras_vatt.data import Finding, Problem
from keras_vatt.search._index_run import IndexRun
from keras_vatt.search._locations import open_store
from keras_vatt.search._media_files import MediaFile
from keras_vatt.search._media_index import MediaIndex
from keras_vatt.search._windows import Window

HEADER = {
    "model": {"preset": None},
    "window_seconds": 1.0,
    "short_clips": "repeat",
    "folder": "media",
}
DIM = 16


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def some_windows(count, first=0):
    """Windows of files of four windows each, by path and time."""
    numbers = range(first, first + count)
    return [
        Window(MediaFile(f"{n // 4:05d}.mp4", 9, 9), n % 4, n % 4 + 1.0)
        for n in numbers
    ]


def vectors_of(windows):
    """Random unit vectors, the same ones for the same window."""
    keys = [int(w.file.path[:5]) * 4 + int(w.start) for w in windows]
    rows = [np.random.default_rng(key).normal(size=DIM) for key in keys]
    return unit(np.array(rows)).astype(np.float32)


def make_index(location, windows, vectors=None, batch=1_000, approximate=False):
    """Makes or continues an index; the first window of each file has no video."""
    run = IndexRun(open_store(location), HEADER)
    vectors = vectors_of(windows) if vectors is None else vectors
    missing = [
        pair for pair in zip(windows, vectors, strict=True) if pair[0] not in run
    ]
    for number, (window, vector) in enumerate(missing, start=1):
        if window.start > 0:
            run.add(window, {"video": {"to_text": vector[np.newaxis]}})
        else:
            finding = Finding(Problem.NO_VIDEO, window.file.path, "has no video")
            run.add(window, {}, (finding,))
        if number % batch == 0:
            run.flush()
    run.flush()
    return run.finish(windows, [], approximate)


def open_index(location):
    return MediaIndex.load(location)
