"""Histograms of the cosines between the gradients of a step's groups."""

from __future__ import annotations

import os

import keras
import numpy as np
from keras import ops

NUM_BINS = 40
BIN_EDGES = np.linspace(-1.0, 1.0, NUM_BINS + 1)
# TensorBoard takes values, not counts: at most about so many.
_MAX_VALUES = 1e6


def count_cosines(cosines, counted):
    """Counts cosines by bins of equal width over `[-1, 1]`.

    Args:
        cosines: float32 tensor of shape `(groups,)`.
        counted: float32 tensor of shape `(groups,)`, 1 for the groups that count.

    Returns:
        float32 tensor of shape `(NUM_BINS,)`.
    """
    finite = ops.where(ops.isfinite(cosines), cosines, 0.0)
    # An edge belongs to the bin above it: a cosine of 0 is not a conflict.
    bins = ops.floor((finite + 1.0) * (NUM_BINS / 2))
    bins = ops.cast(ops.clip(bins, 0, NUM_BINS - 1), "int32")
    is_in = ops.cast(ops.equal(bins[:, None], ops.arange(NUM_BINS)), "float32")
    return ops.sum(is_in * counted[:, None], axis=0)


class ReadsCosines(keras.callbacks.Callback):
    """Base class of callbacks that read the histogram of each epoch."""

    _before_validation = None

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._before_validation = None

    def on_test_begin(self, logs: dict[str, float] | None = None) -> None:
        # Validation resets the metrics of training.
        self._before_validation = self._cosines_so_far()

    def epoch_cosines(self) -> list[float] | None:
        """Returns the counts of the epoch that ends; `None` without a harmonizer."""
        if self._before_validation is not None:
            return self._before_validation
        return self._cosines_so_far()

    def _cosines_so_far(self):
        counts = self.model.step_metrics.cosine_counts
        if counts is None:
            return None
        counts = ops.convert_to_tensor(counts)
        return [float(count) for count in ops.convert_to_numpy(counts)]


class CosineHistograms(ReadsCosines):
    """Writes a histogram of the gradients' cosines to TensorBoard after each epoch.

    Each group of samples counts once per step, see `num_groups` of
    `HarmonizedModel.compile`: with `"per_clip"`, each clip. Needs TensorFlow, as
    `keras.callbacks.TensorBoard` does.

    Args:
        log_dir: str or path, that of `keras.callbacks.TensorBoard`.

    Example:
    ```python
    model.fit(
        dataset,
        epochs=10,
        callbacks=[
            keras.callbacks.TensorBoard("logs"),
            keras_vatt.training.CosineHistograms("logs"),
        ],
    )
    ```
    """

    def __init__(self, log_dir: str | os.PathLike) -> None:
        super().__init__()
        self._folder = os.path.join(log_dir, "train")
        self._writer = None

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        counts = self.epoch_cosines()
        if counts is None:
            return
        # Imported here, as on other backends only this callback needs it.
        import tensorflow as tf

        if self._writer is None:
            self._writer = tf.summary.create_file_writer(self._folder)
        values, num_buckets = _as_values(counts)
        with self._writer.as_default():
            tf.summary.histogram(
                "gradient_cosine", values, step=epoch, buckets=num_buckets
            )
        self._writer.flush()

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def _as_values(counts):
    """Returns values with the given counts, and the buckets that keep them apart.

    TensorBoard divides the range of the values into buckets: one for each of our bins
    between the first and the last that is not empty.
    """
    counts = np.asarray(counts)
    occupied = np.flatnonzero(counts)
    if not len(occupied):
        return np.zeros(0), 1
    scale = min(1.0, _MAX_VALUES / counts.sum())
    centers = (BIN_EDGES[1:] + BIN_EDGES[:-1]) / 2
    values = np.repeat(centers, np.ceil(counts * scale).astype(int))
    return values, int(occupied[-1] - occupied[0] + 1)
