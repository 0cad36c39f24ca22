"""Batches of raw clips, decoded as they are needed."""

import contextlib
import math
import os
import random
import threading
from concurrent import futures

import keras
import numpy as np


class RawBatches(keras.utils.PyDataset):
    """Decodes raw clips batch by batch, the next while one is used.

    What is random in an epoch follows from the seed of `keras.utils.set_random_seed`
    and from the number of the epoch.

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
        augmentation: function `(clip, generator)` that gives a changed clip, with a
            `numpy.random.Generator`. Defaults to `None`.
        mixup: function `(clips, labels, generator)` that gives changed ones of a batch,
            such as `keras_vatt.training.Mixup`. Defaults to `None`.

    Raises:
        ValueError: if there are no clips, another number of labels or weights, or
            weights of clips that are to be mixed.
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
        augmentation=None,
        mixup=None,
    ):
        # Without workers of Keras': their queue keeps batches that were looked at to
        # build the model, and hands them out again in the wrong place.
        super().__init__()
        if len(clips) == 0:
            raise ValueError("There are no clips: the list is empty.")
        self._clips = clips
        self._convert = convert
        self._labels = _rows("labels", labels, len(clips))
        self._sample_weight = _rows("sample_weight", sample_weight, len(clips))
        if mixup is not None and sample_weight is not None:
            raise ValueError("Weights of clips have no meaning once they are mixed.")
        self._augmentation, self._mixup = augmentation, mixup
        self._clips_per_batch = max(1, batch_size // rows_per_clip)
        # As Keras' own seeds: `keras.utils.set_random_seed` decides it.
        self._random = np.random.default_rng(random.getrandbits(32))
        self._shuffle = shuffle
        self._order = np.arange(len(clips))
        self._failure = None
        # Decoding leaves Python's lock: the clips of a batch are decoded at once.
        self._threads = futures.ThreadPoolExecutor(min(8, os.cpu_count() or 1))
        self._lock = threading.Lock()
        self._ahead = {}
        self.on_epoch_end()

    def __len__(self):
        return math.ceil(len(self._clips) / self._clips_per_batch)

    def __getitem__(self, index):
        # TensorFlow may ask from several threads.
        with self._lock:
            chosen, decoded = self._ahead.pop(index, None) or self._start(index)
            self._forget()
            if index + 1 < len(self):
                self._ahead[index + 1] = self._start(index + 1)
        inputs = self._result(decoded)
        if self._labels is None:
            return (inputs,)
        if self._mixup is not None:
            generator = np.random.default_rng((self._epoch_seed, index))
            return self._mixup(inputs, self._labels[chosen], generator)
        if self._sample_weight is None:
            return inputs, self._labels[chosen]
        return inputs, self._labels[chosen], self._sample_weight[chosen]

    def on_epoch_begin(self):
        # Decode the first batch now: an error after this point, and before the first
        # step, would find the weights taken out of the model on the JAX backend.
        with self._lock:
            if 0 not in self._ahead:
                self._forget()
                self._ahead[0] = self._start(0)
            _, decoded = self._ahead[0]
        self._result(decoded)

    def on_epoch_end(self):
        with self._lock:
            self._forget()
            self._epoch_seed = self._random.integers(2**63)
            if self._shuffle:
                self._order = self._random.permutation(len(self._clips))

    @contextlib.contextmanager
    def own_errors(self):
        """Raise what went wrong in decoding as it was, not as a backend wraps it."""
        try:
            yield
        except Exception as error:
            if self._failure is None or self._failure is error:
                raise
            raise self._failure from error

    def _result(self, decoded):
        try:
            return np.concatenate([rows.result() for rows in decoded])
        except Exception as error:
            self._failure = self._failure or error
            raise

    def _start(self, index):
        """Which clips make up a batch, and the futures of their rows."""
        first = index * self._clips_per_batch
        chosen = self._order[first : first + self._clips_per_batch]
        rows = [
            self._threads.submit(self._rows_of, number, self._epoch_seed)
            for number in chosen
        ]
        return chosen, rows

    def _rows_of(self, number, epoch_seed):
        try:
            rows = self._convert([self._clips[number]])
        except ValueError as error:
            raise ValueError(f"Clip {number}: {error}") from error
        if self._augmentation is None:
            return rows
        generator = np.random.default_rng((epoch_seed, number))
        return np.stack([self._augmentation(row, generator) for row in rows])

    def _forget(self):
        """Drop what was decoded ahead and nobody has asked for."""
        for _, decoded in self._ahead.values():
            for rows in decoded:
                rows.cancel()
        self._ahead = {}


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
