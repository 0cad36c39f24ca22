"""Datasets that decode raw clips batch by batch, for Keras' loops."""

import math
import os
import random
import threading
from concurrent import futures

import keras
import numpy as np

from keras_vatt.training._own_errors import OwnErrors


class ClipBatches(OwnErrors, keras.utils.PyDataset):
    """Base class of datasets of clips that are decoded in threads, with labels.

    Args:
        reader: `ClipReader` of the clips.
        labels: array with an entry per clip. Defaults to `None`.
        sample_weight: array with a weight per clip. Defaults to `None`.
        clips_per_batch: int. Number of clips per batch. Defaults to `32`.

    Raises:
        ValueError: if the number of labels or weights is not that of the clips.
    """

    def __init__(self, reader, labels=None, sample_weight=None, clips_per_batch=32):
        # Without Keras' own workers: their queue keeps the batches that build the
        # model, and returns them again in the wrong place.
        super().__init__()
        self.reader = reader
        self._labels = _rows("labels", labels, len(reader))
        self._sample_weight = _rows("sample_weight", sample_weight, len(reader))
        self._clips_per_batch = clips_per_batch
        # Decoding releases the interpreter lock, so threads decode in parallel.
        self._threads = futures.ThreadPoolExecutor(min(8, os.cpu_count() or 1))
        self._lock = threading.Lock()

    def _batch(self, numbers, inputs):
        """Returns a batch of Keras: clips with their labels and weights."""
        columns = inputs, self._labels, self._sample_weight
        given = [column[numbers] for column in columns[1:] if column is not None]
        return (inputs, *given)


class RawBatches(ClipBatches):
    """Batches of raw clips. While one is used, the next is decoded.

    Random choices depend only on the seed of `keras.utils.set_random_seed` and on the
    number of the epoch. A clip that the reader skips is replaced by the next one of the
    list, with its label and weight, so that batches keep their shape.

    Args:
        reader: `ClipReader` of the clips.
        labels: array with an entry per clip. Defaults to `None`.
        sample_weight: array with a weight per clip. Defaults to `None`.
        batch_size: int. Number of examples per batch. Defaults to `32`.
        rows_per_clip: int. Number of examples per clip. Defaults to `1`.
        shuffle: bool. Whether to shuffle the clips in each epoch. Defaults to `False`.
        random_windows: bool. Whether to read each clip at a random position in each
            epoch. Defaults to `False`.
        augmentation: function from a clip and a `numpy.random.Generator` to an
            augmented clip. Defaults to `None`.
        mixup: function from the clips, the labels and a generator to mixed clips and
            labels, such as `keras_vatt.training.Mixup`. Defaults to `None`.

    Raises:
        ValueError: if the number of labels or weights is not that of the clips, or
            weights are given with mixup.
    """

    def __init__(
        self,
        reader,
        labels=None,
        sample_weight=None,
        batch_size=32,
        rows_per_clip=1,
        shuffle=False,
        random_windows=False,
        augmentation=None,
        mixup=None,
    ):
        clips_per_batch = max(1, batch_size // rows_per_clip)
        super().__init__(reader, labels, sample_weight, clips_per_batch)
        if mixup is not None and sample_weight is not None:
            raise ValueError("`sample_weight` can't be combined with mixup.")
        self._augmentation, self._mixup = augmentation, mixup
        # `keras.utils.set_random_seed` seeds it, like Keras' own generators.
        self._random = np.random.default_rng(random.getrandbits(32))
        self._shuffle, self._random_windows = shuffle, random_windows
        self._order = np.arange(len(reader))
        self._ahead = {}
        self.on_epoch_end()

    def __len__(self):
        return math.ceil(len(self.reader) / self._clips_per_batch)

    def __getitem__(self, index):
        # TensorFlow may call this from several threads.
        with self._lock:
            decoded = self._ahead.pop(index, None) or self._start(index)
            self._forget()
            if index + 1 < len(self):
                self._ahead[index + 1] = self._start(index + 1)
        numbers, inputs = self._result(decoded)
        batch = self._batch(numbers, inputs)
        if self._mixup is None:
            return batch
        generator = np.random.default_rng((self._epoch_seed, index))
        return self._mixup(*batch, generator)

    def on_epoch_begin(self):
        # Decode the first batch now. On JAX, the weights are not in the model between
        # this point and the first step, and an error would lose them.
        with self._lock:
            if 0 not in self._ahead:
                self._forget()
                self._ahead[0] = self._start(0)
            decoded = self._ahead[0]
        self._result(decoded)

    def on_epoch_end(self):
        with self._lock:
            self._forget()
            self._epoch_seed = self._random.integers(2**63)
            if self._shuffle:
                self._order = self._random.permutation(len(self.reader))

    def _result(self, decoded):
        """Returns the numbers of the decoded clips, and their examples in one array."""
        with self._noted_failure():
            numbers, rows = zip(*(clip.result() for clip in decoded), strict=True)
            return list(numbers), np.concatenate(rows)

    def _start(self, index):
        """Starts to decode the clips of a batch, and returns their futures."""
        first = index * self._clips_per_batch
        chosen = self._order[first : first + self._clips_per_batch]
        return [
            self._threads.submit(self._decode, int(number), self._epoch_seed)
            for number in chosen
        ]

    def _decode(self, place, epoch_seed):
        position = None
        if self._random_windows:
            # Independent of the random numbers of the augmentation.
            position = np.random.default_rng((epoch_seed, place, 1)).random()
        number, rows = self.reader.read_or_replace(place, position)
        if self._augmentation is None:
            return number, rows
        generator = np.random.default_rng((epoch_seed, place))
        return number, np.stack([self._augmentation(row, generator) for row in rows])

    def _forget(self):
        """Drops the batches that were decoded ahead and not used."""
        for decoded in self._ahead.values():
            for clip in decoded:
                clip.cancel()
        self._ahead = {}


def _rows(name, values, count):
    if values is None:
        return None
    values = np.asarray(values)
    if values.ndim == 0 or len(values) != count:
        raise ValueError(
            f"`{name}` must have an entry per clip. Received: {count} clips and "
            f"{name} of shape {values.shape}"
        )
    return values
