"""Batches of clips in a Grain dataset, as `keras.Model.fit` takes them."""

import dataclasses
import functools
import os
import sys
from collections.abc import Callable
from typing import Any

import grain
import numpy as np

from keras_vatt.data.decoding._media import MediaError


def make_dataset(
    source,
    batch_size,
    training,
    seed=0,
    start_step=0,
    augment=None,
    threads=None,
    shard_index=0,
    shard_count=1,
):
    """Make a dataset of batches for `fit`, `evaluate` or `predict`, on any backend.

    In training the dataset never ends, so `fit` needs `steps_per_epoch`. Every
    `len(source) // batch_size` batches the clips are shuffled anew; what is left over
    in a pass is dropped, so that no batch holds a clip twice. Batch `n` of a run
    depends on the arguments and on `n` alone: a run that is taken up at `start_step`
    sees what the uninterrupted run would have seen.

    Otherwise the dataset is one pass in order, and the last batch may be smaller.
    (Keras then warns that it ran out of data, as it can't know the number of batches.
    With `steps` given to `evaluate` or `predict` it doesn't.)

    A clip that can't be decoded is named in `source.report`. In training the next
    clip of the source takes its place; otherwise it is left out of its batch. A source
    with `on_error="raise"` ends the pass instead.

    Clips are read by threads: decoding, reading and copying release the interpreter
    lock. At most one batch is read ahead.

    Args:
        source: `ClipSource`, `CachedClips`, or anything with a length and a method
            `clip(index, epoch)` that returns arrays in dicts or tuples or raises a
            `MediaError`. Its attribute `on_error`, if it has one, is `"skip"` or
            `"raise"`.
        batch_size: int, clips in a batch, over all shards.
        training: bool, see above.
        seed: int, for the order of the clips and for `augment`. Defaults to `0`.
        start_step: int, the first batch. Defaults to `0`.
        augment: Callable `(element, generator)` that returns a changed element, such
            as `ClipAugmentation`, or `None`. The generator is determined by the
            seed, the epoch and the clip. Defaults to `None`.
        threads: int, clips read at the same time. `None` stands for the number of
            processors. Defaults to `None`.
        shard_index: int, which part of each batch this process reads. Defaults to
            `0`.
        shard_count: int, the number of processes. Process `i` gets the i-th of
            `shard_count` equal slices of each batch. (With `keras.distribution`,
            pass `auto_shard_dataset=False`.) Defaults to `1`.

    Returns:
        A `grain.IterDataset` of batches: elements whose arrays have one axis more.

    Raises:
        ValueError: If the batch can't be divided among the shards, or if the source
            has no full batch to train on.

    Example:
    ```python
    import numpy as np
    from keras_vatt.data import (
        ClipSource, ClipSpec, make_dataset, make_demo_corpus, read_corpus
    )

    corpus = make_demo_corpus("demo", train_clips=2, test_clips=2, progress=False)
    segments, _ = read_corpus(corpus)
    source = ClipSource(
        segments,
        ClipSpec(num_frames=8, frame_size=64),
        lambda texts: np.ones((len(texts), 16), np.int32),
    )
    batch = next(iter(make_dataset(source, batch_size=2, training=True)))
    batch["text"].shape  # (2, 5, 16)
    # model.fit(make_dataset(source, 2, training=True), steps_per_epoch=100)
    ```
    """
    if batch_size % shard_count or not 0 <= shard_index < shard_count:
        raise ValueError(
            f"A batch of {batch_size} can't be divided among {shard_count} shards, or "
            f"there is no shard {shard_index}."
        )
    if training and len(source) < batch_size:
        raise ValueError(
            f"A batch of {batch_size} can't be drawn from {len(source)} clips. Use "
            "more clips or a smaller `batch_size`."
        )
    per_shard = batch_size // shard_count
    steps = sys.maxsize // per_shard if training else -(-len(source) // batch_size)
    threads = os.cpu_count() if threads is None else threads
    reader = _Reader(
        source, batch_size, training, seed, augment, shard_index, per_shard
    )
    positions = grain.MapDataset.range(start_step * per_shard, steps * per_shard)
    # Grain's own default would read 500 clips ahead.
    options = grain.ReadOptions(threads, prefetch_buffer_size=max(per_shard, threads))
    elements = positions.map(reader).to_iter_dataset(options)
    return elements.batch(per_shard, drop_remainder=training)


@dataclasses.dataclass(frozen=True)
class _Reader:
    """Reads the element at each position of what one shard sees."""

    source: Any
    batch_size: int
    training: bool
    seed: int
    augment: Callable | None
    shard_index: int
    per_shard: int

    def __call__(self, position):
        step, offset = divmod(position, self.per_shard)
        offset += self.shard_index * self.per_shard
        if self.training:
            epoch, step = divmod(step, len(self.source) // self.batch_size)
            order = _shuffled(len(self.source), self.seed, epoch)
            return self._read_or_replace(order[step * self.batch_size + offset], epoch)
        return self._read_or_drop(step * self.batch_size + offset)

    def _read_or_replace(self, index, epoch):
        for further in range(len(self.source)):
            try:
                return self._read((index + further) % len(self.source), epoch)
            except MediaError as error:  # The source has put it into its report.
                self._raise_if_wanted(error)
        raise RuntimeError("No clip of the source can be decoded: see its `report`.")

    def _read_or_drop(self, index):
        try:
            # Grain leaves out what is None.
            return self._read(index, 0) if index < len(self.source) else None
        except MediaError as error:  # The source has put it into its report.
            self._raise_if_wanted(error)
            return None

    def _raise_if_wanted(self, error):
        if getattr(self.source, "on_error", "skip") == "raise":
            raise error

    def _read(self, index, epoch):
        element = self.source.clip(index, epoch)
        if self.augment is None:
            return element
        # The source draws from (seed, epoch, index); these are other numbers.
        generator = np.random.default_rng((self.seed, epoch, index, 1))
        return self.augment(element, generator)


@functools.lru_cache(maxsize=4)
def _shuffled(count, seed, epoch):
    order = np.random.default_rng((seed, epoch)).permutation(count)
    return tuple(order.tolist())
