"""Batches of raw clips, decoded as they are needed."""

import contextlib
import math
import os
import random

import keras
import numpy as np


class RawBatches(keras.utils.PyDataset):
    """Decodes raw clips batch by batch, in threads, for Keras' loops.

    Args:
        clips: sequence of raw clips.
        convert: function from a list of clips to an array, with `rows_per_clip` rows
            for each clip.
        labels: array with a row for each clip. Defaults to `None`.
        sample_weight: array with a weight for each clip. Defaults to `None`.
        batch_size: int. Rows of a batch. Defaults to `32`.
        rows_per_clip: int. Defaults to `1`.
        shuffle: bool. Whether every epoch has an order of its own. Defaults to
            `False`.

    Raises:
        ValueError: if there are no clips, or another number of labels or weights.
    """

    def __init__(
        self,
        clips,
        convert,
        labels=None,
        sample_weight=None,
        batch_size=32,
        rows_per_clip=1,
        shuffle=False,
    ):
        # Decoding leaves Python's lock; a short queue bounds the memory.
        workers = min(4, os.cpu_count() or 1)
        super().__init__(workers=workers, max_queue_size=2 * workers)
        if len(clips) == 0:
            raise ValueError("There are no clips: the list is empty.")
        self._clips = clips
        self._convert = convert
        self._labels = _rows("labels", labels, len(clips))
        self._sample_weight = _rows("sample_weight", sample_weight, len(clips))
        self._clips_per_batch = max(1, batch_size // rows_per_clip)
        # As Keras' own seeds: `keras.utils.set_random_seed` decides it.
        self._random = np.random.default_rng(random.getrandbits(32))
        self._shuffle = shuffle
        self._order = np.arange(len(clips))
        self._failure = None
        self.on_epoch_end()

    def __len__(self):
        return math.ceil(len(self._clips) / self._clips_per_batch)

    def __getitem__(self, index):
        first = index * self._clips_per_batch
        chosen = self._order[first : first + self._clips_per_batch]
        try:
            inputs = self._convert([self._clips[number] for number in chosen])
        except Exception as error:
            self._failure = self._failure or error
            raise
        if self._labels is None:
            return (inputs,)
        if self._sample_weight is None:
            return inputs, self._labels[chosen]
        return inputs, self._labels[chosen], self._sample_weight[chosen]

    def on_epoch_end(self):
        if self._shuffle:
            self._order = self._random.permutation(len(self._clips))

    @contextlib.contextmanager
    def own_errors(self):
        """Raise what went wrong in decoding as it was, not as TensorFlow wraps it."""
        try:
            yield
        except Exception as error:
            if self._failure is None or self._failure is error:
                raise
            raise self._failure from error


def _rows(name, values, count):
    if values is None:
        return None
    values = np.asarray(values)
    if values.ndim == 0 or len(values) != count:
        raise ValueError(
            f"Every clip has an entry in `{name}`. Received: {count} clips and "
            f"{name} of shape {values.shape}"
        )
    return values
