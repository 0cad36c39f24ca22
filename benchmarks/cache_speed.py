"""Measures how fast clips are read from a cache, alone and in batches for `fit`.

    KERAS_BACKEND=torch taskset -c 0 python benchmarks/cache_speed.py

Frames and waveforms are random, so they can't be compressed. Rows: one clip after
another in random order; batches of `make_dataset`; the same batches as tensors, through
the data adapter of `fit`; and the least that batches need, copying the arrays of clips
in memory with `np.stack`. All clips are in the page cache of the operating system. CPU
time is that of all threads of the process.
"""

import argparse
import math
import os
import pathlib
import statistics
import tempfile
import time

import keras
import numpy as np
from decoding_speed import write_clip
from keras.src.trainers.data_adapters import get_data_adapter

from keras_vatt.data import (
    CachedClips,
    ClipSource,
    ClipSpec,
    Segment,
    build_cache,
    make_dataset,
)
from keras_vatt.data._clip import Clip

_SPECS = {
    "8 x 64 x 64, 8 kHz": ClipSpec(8, frame_size=64, sampling_rate=8_000),
    "32 x 128 x 128, 48 kHz": ClipSpec(frame_size=128),
    "32 x 224 x 224, 48 kHz": ClipSpec(),
}
_ITERATORS = {
    "jax": "get_jax_iterator",
    "tensorflow": "get_tf_dataset",
    "torch": "get_torch_dataloader",
}


class RandomClips(ClipSource):
    """A source of random frames and samples for the clips of any file."""

    def decode(self, index, epoch=0):
        random = np.random.default_rng(index)
        frames = random.integers(0, 256, self.spec.video_shape, np.uint8)
        waveform = random.uniform(-1, 1, self.spec.audio_samples)
        return Clip(frames, waveform.astype(np.float32), self.captions(index))


def tokenize(texts):
    """Returns 16 words for each text."""
    return np.ones((len(texts), 16), np.int32)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--clips", type=int, default=48)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--only", default="", help="only clips whose name contains it")
    arguments = parser.parse_args()
    print("| clip | MB | on disk | what | clips/s | clips per CPU second | GB/s |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for name, spec in _SPECS.items():
        if arguments.only in name:
            with tempfile.TemporaryDirectory() as folder:
                _measure(name, spec, pathlib.Path(folder), arguments)


def _measure(name, spec, folder, arguments):
    path = folder / "clip.mp4"
    write_clip(path, "libx264", "aac", {})
    segments = [Segment(str(path), 0.0, 4.0, "words")] * arguments.clips
    folder = folder / "cache"
    build_cache(RandomClips(segments, spec, tokenize), folder, progress=False)
    clips, batch = CachedClips(folder, tokenize), arguments.batch
    size = math.prod(spec.video_shape) + 2 * spec.audio_samples
    disk = sum(path.stat().st_size for path in folder.iterdir()) / arguments.clips
    elements = [clips[index] for index in range(batch)]
    order = np.random.default_rng(0).permutation(arguments.clips).tolist()
    batches = iter(make_dataset(clips, batch, training=True))
    tensors = _tensors(make_dataset(clips, batch, training=True))
    cases = {
        "clips": lambda: [clips[index] for index in order[:batch]],
        "batches": lambda: next(batches),
        f"batches, {keras.backend.backend()}": lambda: next(tensors),
        "copy of arrays": lambda: _stacked(elements),
    }
    for what, run in cases.items():
        seconds, cpu = _times(run, arguments.repeats)
        print(
            f"| {name} | {size / 1e6:.2f} | {disk / size:.3f} | {what} | "
            f"{batch / seconds:.0f} | {batch / cpu:.0f} | "
            f"{batch * size / seconds / 1e9:.2f} |",
            flush=True,
        )


def _tensors(dataset):
    # `fit` gets elements as inputs, in a tuple.
    adapter = get_data_adapter(dataset.map(lambda batch: (batch,)))
    for batch in getattr(adapter, _ITERATORS[keras.backend.backend()])():
        yield keras.tree.map_structure(keras.ops.convert_to_tensor, batch)


def _stacked(elements):
    return {key: np.stack([each[key] for each in elements]) for key in elements[0]}


def _times(run, repeats):
    """Returns the medians of wall time and of CPU time, each over 4 calls at once."""
    for _ in range(3):
        run()
    wall, cpu = [], []
    for _ in range(repeats):
        started, used = time.perf_counter(), time.process_time()
        for _ in range(4):
            run()
        wall.append((time.perf_counter() - started) / 4)
        cpu.append((time.process_time() - used) / 4)
    return statistics.median(wall), statistics.median(cpu)


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main()
