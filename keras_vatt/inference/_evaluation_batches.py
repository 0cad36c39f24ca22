"""Batches of the clips that can be used, as if the list had no others."""

import math

import keras
import numpy as np

from keras_vatt.inference._clip_reader import SkippedClipError
from keras_vatt.inference._raw_batches import ClipBatches


class EvaluationBatches(ClipBatches):
    """Decodes clips in order and leaves out those that the reader skips.

    The next clips move up, so that losses and metrics are those of a list without the
    clips that are left out. How many batches there are is known at the last one:
    the callback of `with_early_end` ends the loop there.

    Args:
        reader: `ClipReader` of the clips.
        labels: array with a row for each clip.
        sample_weight: array with a weight for each clip. Defaults to `None`.
        batch_size: int. Defaults to `32`.
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
        # On TensorFlow an iterator that was given up may still ask for batches.
        with self._lock, self._noted_failure():
            first = index * self._clips_per_batch
            numbers = self._verified(first)
            if not self._usable:
                raise self.reader.first_error
            if numbers:
                rows = [self._decoded.pop(number).result() for number in numbers]
                self._latest = self._batch(numbers, np.concatenate(rows))
            # Behind the last batch asks only who reads ahead, and uses none of it.
            return self._latest

    def verify(self):
        """Decodes all clips once, after which the number of batches is exact."""
        index = 0
        while index < len(self):
            self[index]
            index += 1

    def _verified(self, first):
        """Numbers of the clips of a batch, all usable; and there is a next, or none."""
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
    """Callbacks of a loop, and one that ends an evaluation where its clips end.

    Args:
        callbacks: as Keras takes them: `None`, a callback, a list of callbacks or a
            `keras.callbacks.CallbackList`.
        batches: `EvaluationBatches` that are evaluated.

    Returns:
        List of `keras.callbacks.Callback`.
    """
    if isinstance(callbacks, keras.callbacks.CallbackList):
        callbacks = callbacks.callbacks
    # A list: Keras then calls them before the next batch, not at some later time.
    return [*keras.tree.flatten(callbacks or []), _StopAtLastBatch(batches)]


class _StopAtLastBatch(keras.callbacks.Callback):
    def __init__(self, batches):
        super().__init__()
        self._batches = batches

    def on_test_batch_end(self, batch, logs=None):
        if batch + 1 >= len(self._batches):
            self.model.stop_evaluating = True
