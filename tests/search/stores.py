"""Indexes of random embeddings, without a model and without media."""

import numpy as np

from keras_vatt.data import Finding, Problem
from keras_vatt.search._index_run import IndexRun
from keras_vatt.search._locations import open_store
from keras_vatt.search._media_files import MediaFile
from keras_vatt.search._media_index import MediaIndex
from keras_vatt.search._stored_windows import EmbeddedWindows
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


def embedded(windows, vectors):
    """A batch in which the first window of each file has no video."""
    seen = [number for number, window in enumerate(windows) if window.start > 0]
    matrix = np.asarray(vectors, np.float32)[seen]
    findings = {
        number: [Finding(Problem.NO_VIDEO, window.file.path, "has no video")]
        for number, window in enumerate(windows)
        if window.start == 0
    }
    return EmbeddedWindows(windows, {"video_to_text": (seen, matrix)}, findings)


def vectors_of(windows):
    """Random unit vectors, the same ones for the same window."""
    keys = [int(w.file.path[:5]) * 4 + int(w.start) for w in windows]
    rows = [np.random.default_rng(key).normal(size=DIM) for key in keys]
    return unit(np.array(rows)).astype(np.float32)


def make_index(location, windows, vectors=None, batch=1_000, approximate=False):
    """Makes or continues an index; returns its report."""
    run = IndexRun(open_store(location), HEADER)
    vectors = vectors_of(windows) if vectors is None else vectors
    rows = dict(zip(windows, vectors, strict=True))
    missing = run.missing(windows)
    for first in range(0, len(missing), batch):
        part = missing[first : first + batch]
        run.add(embedded(part, [rows[window] for window in part]))
        run.commit()
    return run.finish(windows, [], approximate)


def open_index(location):
    return MediaIndex.load(location)
