"""A Grain dataset with batches of clips, for `keras.Model.fit`."""

import dataclasses
import functools
import os
import sys
from collections.abc import Callable
from typing import Any, Protocol

import grain
import numpy as np

from keras_vatt.data._clip_order import shuffled_pass
from keras_vatt.data.decoding._file_errors import MediaError

# Random clips that are tried in place of one that can't be read, before all are.
_RANDOM_REPLACEMENTS = 16


class ClipReader(Protocol):
    """Source of elements, such as `ClipSource` and `CachedClips`."""

    def __len__(self) -> int:
        """Returns the number of clips."""

    def clip(self, index: int, epoch: int = 0) -> Any:
        """Returns the element of a clip."""


def make_dataset(
    source: ClipReader,
    batch_size: int,
    training: bool,
    seed: int = 0,
    start_step: int = 0,
    augment: Callable[[Any, np.random.Generator], Any] | None = None,
    num_workers: int | None = None,
    shard_index: int = 0,
    shard_count: int = 1,
) -> grain.IterDataset:
    """Creates a dataset of batches for `fit`, `evaluate` or `predict`.

    The dataset works with any backend. In training it never ends, so `fit` needs
    `steps_per_epoch`. The clips are shuffled over the whole source, again every
    `len(source) // batch_size` batches; the remainder of a pass is dropped, so that no
    batch has a clip twice. The order takes no memory. Batch `n` of a run depends only
    on the arguments and on `n`: a run that resumes at `start_step` gets the batches of
    an uninterrupted run.

    Otherwise the dataset is one pass in order, and the last batch may be smaller.
    (Keras then warns that it ran out of data, since it doesn't know the number of
    batches, unless `evaluate` or `predict` gets `steps`.)

    A clip that can't be decoded is added to `source.report`. In training another clip,
    chosen at random, replaces it; otherwise it is missing from its batch. A source with
    `on_error="raise"` ends the pass instead.

    Clips are read in threads, since decoding, reading and copying release the global
    interpreter lock. At most one batch is read ahead.

    Args:
        source: `ClipSource`, `CachedClips`, `StoredClips`, `MixedClips`, or any object
            with a length and a method `clip(index, epoch)` that returns arrays in dicts
            or tuples or raises a `MediaError`. Its optional attribute `on_error` is
            `"skip"` or `"raise"`.
        batch_size: int. Number of clips of a batch, over all shards.
        training: bool. Whether the dataset is shuffled and infinite.
        seed: int. Seed of the order of the clips and of `augment`. Defaults to `0`.
        start_step: int. Index of the first batch. Defaults to `0`.
        augment: Callable `(element, generator)` that returns a changed element, such
            as `ClipAugmentation`. The generator depends on the seed, the epoch and the
            clip. Defaults to `None`.
        num_workers: int. Number of clips that are read in parallel. Defaults to
            `None`, the number of processors.
        shard_index: int. Shard of each batch that this process reads. Defaults to `0`.
        shard_count: int. Number of processes. Process `i` gets the i-th of
            `shard_count` equal slices of each batch. (With `keras.distribution`,
            pass `auto_shard_dataset=False`.) Defaults to `1`.

    Returns:
        A `grain.IterDataset` of batches: elements whose arrays have a batch axis.

    Raises:
        ValueError: If the batch can't be divided among the shards, or if the source
            has fewer clips than a batch in training.

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
            f"there is no shard {shard_index}. Pass a multiple of `shard_count` as "
            "`batch_size`, and a smaller `shard_index` than that."
        )
    if training and len(source) < batch_size:
        raise ValueError(
            f"A batch of {batch_size} can't be drawn from {len(source)} clips. Use "
            "more clips or a smaller `batch_size`."
        )
    per_shard = batch_size // shard_count
    steps = sys.maxsize // per_shard if training else -(-len(source) // batch_size)
    num_workers = os.cpu_count() if num_workers is None else num_workers
    reader = _Reader(
        source, batch_size, training, seed, augment, shard_index, per_shard
    )
    positions = grain.MapDataset.range(start_step * per_shard, steps * per_shard)
    # By default, Grain would read 500 clips ahead.
    options = grain.ReadOptions(
        num_workers, prefetch_buffer_size=max(per_shard, num_workers)
    )
    elements = positions.map(reader).to_iter_dataset(options)
    return elements.batch(per_shard, drop_remainder=training)


@dataclasses.dataclass(frozen=True)
class _Reader:
    """Reads the element at each position of one shard."""

    source: ClipReader
    batch_size: int
    training: bool
    seed: int
    augment: Callable | None
    shard_index: int
    per_shard: int

    def __call__(self, position):
        step, offset = divmod(position, self.per_shard)
        offset += self.shard_index * self.per_shard
        position = step * self.batch_size + offset
        if not self.training:
            return self._read_or_drop(position)
        order = getattr(self.source, "training_order", None)
        if order is None:
            order = functools.partial(shuffled_pass, len(self.source))
        return self._read_or_replace(*order(position, self.batch_size, self.seed))

    def _read_or_replace(self, epoch, index):
        for other in self._replacements(epoch, index):
            try:
                return self._read(other, epoch)
            except MediaError as error:  # The source has added it to its report.
                self._raise_if_wanted(error)
        raise RuntimeError("No clip of the source can be decoded. See its `report`.")

    def _replacements(self, epoch, index):
        """Yields a clip, some random ones, and at last all."""
        yield index
        count = len(self.source)
        # Not the next clips: those are in the same shard, which may be missing.
        generator = np.random.default_rng((self.seed, epoch, index, 2))
        yield from generator.integers(count, size=_RANDOM_REPLACEMENTS).tolist()
        yield from range(count)

    def _read_or_drop(self, index):
        try:
            # Grain drops elements that are `None`.
            return self._read(index, 0) if index < len(self.source) else None
        except MediaError as error:  # The source has added it to its report.
            self._raise_if_wanted(error)
            return None

    def _raise_if_wanted(self, error):
        if getattr(self.source, "on_error", "skip") == "raise":
            raise error

    def _read(self, index, epoch):
        element = self.source.clip(index, epoch)
        if self.augment is None:
            return element
        # The source draws from (seed, epoch, index): the 1 gives independent numbers.
        generator = np.random.default_rng((self.seed, epoch, index, 1))
        return self.augment(element, generator)
