"""Batches of raw clips, decoded as they are needed."""

import math
import os
import random
import threading
from concurrent import futures

import keras
import numpy as np

from keras_vatt.training._own_errors import OwnErrors


class ClipBatches(OwnErrors, keras.utils.PyDataset):
    """Base class of datasets that decode clips in threads, with their labels.

    Args:
        reader: `ClipReader` of the clips.
        labels: array with a row for each clip. Defaults to `None`.
        sample_weight: array with a weight for each clip. Defaults to `None`.
        clips_per_batch: int. Defaults to `32`.

    Raises:
        ValueError: if there is another number of labels or weights than of clips.
    """

    def __init__(self, reader, labels=None, sample_weight=None, clips_per_batch=32):
        # Without workers of Keras': their queue keeps batches that were looked at to
        # build the model, and hands them out again in the wrong place.
        super().__init__()
        self.reader = reader
        self._labels = _rows("labels", labels, len(reader))
        self._sample_weight = _rows("sample_weight", sample_weight, len(reader))
        self._clips_per_batch = clips_per_batch
        # Decoding leaves Python's lock: the clips of a batch are decoded at once.
        self._threads = futures.ThreadPoolExecutor(min(8, os.cpu_count() or 1))
        self._lock = threading.Lock()

    def _batch(self, numbers, inputs):
        """The clips of these numbers with their labels and weights, as Keras has it."""
        columns = inputs, self._labels, self._sample_weight
        given = [column[numbers] for column in columns[1:] if column is not None]
        return (inputs, *given)


class RawBatches(ClipBatches):
    """Decodes raw clips batch by batch, the next while one is used.

    What is random in an epoch follows from the seed of `keras.utils.set_random_seed`
    and from the number of the epoch. A clip that the reader skips is replaced by the
    next one of the list, with its label and its weight: batches keep their shapes.

    Args:
        reader: `ClipReader` of the clips.
        labels: array with a row for each clip. Defaults to `None`.
        sample_weight: array with a weight for each clip. Defaults to `None`.
        batch_size: int. Rows of a batch. Defaults to `32`.
        rows_per_clip: int. Defaults to `1`.
        shuffle: bool. Whether every epoch has an order of its own. Defaults to
            `False`.
        random_windows: bool. Whether each clip is read at a position of its own in
            every epoch. Defaults to `False`.
        augmentation: function `(clip, generator)` that gives a changed clip, with a
            `numpy.random.Generator`. Defaults to `None`.
        mixup: function `(clips, labels, generator)` that gives changed ones of a batch,
            such as `keras_vatt.training.Mixup`. Defaults to `None`.

    Raises:
        ValueError: if there is another number of labels or weights than of clips, or
            there are weights of clips that are to be mixed.
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
            raise ValueError("Weights of clips have no meaning once they are mixed.")
        self._augmentation, self._mixup = augmentation, mixup
        # As Keras' own seeds: `keras.utils.set_random_seed` decides it.
        self._random = np.random.default_rng(random.getrandbits(32))
        self._shuffle, self._random_windows = shuffle, random_windows
        self._order = np.arange(len(reader))
        self._ahead = {}
        self.on_epoch_end()

    def __len__(self):
        return math.ceil(len(self.reader) / self._clips_per_batch)

    def __getitem__(self, index):
        # TensorFlow may ask from several threads.
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
        # Decode the first batch now: an error after this point, and before the first
        # step, would find the weights taken out of the model on the JAX backend.
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
        """Numbers of the clips that were decoded, and their rows in one array."""
        with self._noted_failure():
            numbers, rows = zip(*(clip.result() for clip in decoded), strict=True)
            return list(numbers), np.concatenate(rows)

    def _start(self, index):
        """The futures of the clips of a batch."""
        first = index * self._clips_per_batch
        chosen = self._order[first : first + self._clips_per_batch]
        return [
            self._threads.submit(self._decode, int(number), self._epoch_seed)
            for number in chosen
        ]

    def _decode(self, place, epoch_seed):
        position = None
        if self._random_windows:
            # Another stream of numbers than that of the augmentation.
            position = np.random.default_rng((epoch_seed, place, 1)).random()
        number, rows = self.reader.read_or_replace(place, position)
        if self._augmentation is None:
            return number, rows
        generator = np.random.default_rng((epoch_seed, place))
        return number, np.stack([self._augmentation(row, generator) for row in rows])

    def _forget(self):
        """Drop what was decoded ahead and nobody has asked for."""
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
            f"Every clip has an entry in `{name}`. Received: {count} clips and "
            f"{name} of shape {values.shape}"
        )
    return values
