"""Batches of the clips of a list that can be used."""

import math

import keras
import numpy as np

from keras_vatt.inference._clip_reader import SkippedClipError
from keras_vatt.inference._raw_batches import ClipBatches


class EvaluationBatches(ClipBatches):
    """Batches of clips in order, without those that the reader skips.

    The next clips fill the gaps, so that losses and metrics are those of a list without
    the skipped clips. The number of batches is known only at the last one, where the
    callback of `with_early_end` stops the loop.

    Args:
        reader: `ClipReader` of the clips.
        labels: array with an entry per clip.
        sample_weight: array with a weight per clip. Defaults to `None`.
        batch_size: int. Number of clips per batch. Defaults to `32`.
    """

    def __init__(self, reader, labels, sample_weight=None, batch_size=32):
        super().__init__(reader, labels, sample_weight, batch_size)
        skipped = set(reader.skipped)
        self._usable = [n for n in range(len(reader)) if n not in skipped]
        self._decoded = {}
        self._latest = None

    def __len__(self):
        return math.ceil(len(self._usable) / self._clips_per_batch)

    def __getitem__(self, index):
        # On TensorFlow, an abandoned iterator may still request batches.
        with self._lock, self._noted_failure():
            first = index * self._clips_per_batch
            numbers = self._verified(first)
            if not self._usable:
                raise self.reader.first_error
            if numbers:
                rows = [self._decoded.pop(number).result() for number in numbers]
                self._latest = self._batch(numbers, np.concatenate(rows))
            # Only prefetching requests batches after the last one, and drops them.
            return self._latest

    def verify(self):
        """Decodes all clips once, so that the number of batches is exact."""
        index = 0
        while index < len(self):
            self[index]
            index += 1

    def _verified(self, first):
        """Returns the numbers of the usable clips of a batch.

        The clip after the batch is checked too, so that the last batch is known.
        """
        end = first + self._clips_per_batch
        while True:
            numbers = self._usable[first : end + 1]
            for number in self._usable[first : end + self._clips_per_batch]:
                self._future(number)
            bad = {n for n in numbers if self._is_skipped(self._decoded[n])}
            if not bad:
                return numbers[: self._clips_per_batch]
            self._usable = [number for number in self._usable if number not in bad]
            for number in bad:
                del self._decoded[number]

    def _future(self, number):
        if number not in self._decoded:
            self._decoded[number] = self._threads.submit(self.reader.read, number)
        return self._decoded[number]

    @staticmethod
    def _is_skipped(decoded):
        return isinstance(decoded.exception(), SkippedClipError)


def with_early_end(callbacks, batches):
    """Adds a callback that stops an evaluation after its last clip.

    Args:
        callbacks: `None`, a callback, a list of callbacks, or a
            `keras.callbacks.CallbackList`.
        batches: `EvaluationBatches` of the evaluation.

    Returns:
        List of `keras.callbacks.Callback`.
    """
    if isinstance(callbacks, keras.callbacks.CallbackList):
        callbacks = callbacks.callbacks
    # Keras calls the callbacks of a list before the next batch, not asynchronously.
    return [*keras.tree.flatten(callbacks or []), _StopAtLastBatch(batches)]


class _StopAtLastBatch(keras.callbacks.Callback):
    def __init__(self, batches):
        super().__init__()
        self._batches = batches

    def on_test_batch_end(self, batch, logs=None):
        if batch + 1 >= len(self._batches):
            self.model.stop_evaluating = True
