"""Checks the clips and labels of a classifier, and makes batches of them."""

import numpy as np

from keras_vatt.data._class_labels import check_labels, label_rows
from keras_vatt.inference._batch_dtypes import check_dtype, has_numbers
from keras_vatt.inference._clip_reader import ClipReader
from keras_vatt.inference._evaluation_batches import EvaluationBatches, with_early_end
from keras_vatt.inference._raw_batches import RawBatches
from keras_vatt.training._finite import check_finite


class ClassifierInputs:
    """Mixin of the classifiers that turns clips and labels into batches."""

    def _checked_labels(self, y, sample_weight):
        """Checks the labels; returns labels and weights as arrays."""
        y, sample_weight = _as_array(y), _as_array(sample_weight)
        check_labels(y, self.num_classes, self.multi_label)
        return y, sample_weight

    def _check_clips(self, x):
        is_raw = self._is_raw(self.input_kind, x)
        if isinstance(x, list) and not is_raw:
            rate = "" if self.input_kind == "image" else ", or tuples (array, rate)"
            first = f" of {type(x[0]).__name__}" if x else ", which is empty"
            raise ValueError(
                f"A list must contain raw clips: paths, bytes{rate}. Pass a batch of "
                f"arrays as one NumPy array. Received: a list{first}"
            )
        if has_numbers(x) and not is_raw:
            check_dtype(self.input_kind, x.dtype)
        if isinstance(x, np.ndarray):
            check_finite(self.modality, x)

    def _training_batches(
        self,
        x,
        y,
        sample_weight,
        *,
        batch_size,
        shuffle,
        window,
        augmentation,
        mixup,
        **reading,
    ):
        """Makes batches of raw clips, or of an array of clips to augment or mix."""
        return RawBatches(
            self._training_reader(x, y, **reading),
            labels=label_rows(y, self.num_classes) if mixup is not None else y,
            sample_weight=sample_weight,
            batch_size=batch_size or 32,
            shuffle=shuffle,
            random_windows=window == "random",
            augmentation=augmentation,
            mixup=mixup,
        )

    def _training_reader(self, x, y, **reading):
        _check_given(y)
        if self._is_raw(self.input_kind, x):
            return self._clip_reader(self.input_kind, x, **reading)
        if not isinstance(x, list | np.ndarray):
            raise ValueError(
                "`augmentation` and `mixup` need clips in a list or an array. "
                f"Received: a {type(x).__name__}. Augment its batches yourself."
            )
        return ClipReader(x, np.stack)

    def _validation(
        self, x, y=None, sample_weight=None, *, batch_size, short_clips, on_error
    ):
        """Returns validation data with raw clips as batches."""
        self._check_clips(x)
        y, sample_weight = self._checked_labels(y, sample_weight)
        if self._is_raw(self.input_kind, x):
            return self._evaluation_batches(
                x, y, sample_weight, batch_size, short_clips, on_error
            )
        return (x, y) if sample_weight is None else (x, y, sample_weight)

    def _evaluation_batches(
        self, x, y, sample_weight, batch_size, short_clips, on_error
    ):
        _check_given(y)
        reader = self._clip_reader(
            self.input_kind, x, short_clips=short_clips, on_error=on_error
        )
        return EvaluationBatches(reader, y, sample_weight, batch_size or 32)

    def _with_early_end(self, batches, kwargs):
        """Adds a callback for a loop that may end before the last batch."""
        if not isinstance(batches, EvaluationBatches):
            return kwargs
        if self.steps_per_execution > 1:
            batches.verify()
        return kwargs | {"callbacks": with_early_end(kwargs.get("callbacks"), batches)}


def _check_given(labels):
    if labels is None:
        raise ValueError("Raw clips need labels: pass `y`, with one label per clip.")


def _as_array(given):
    """Converts a list to an array: Keras refuses a list next to an array of clips."""
    return np.asarray(given) if isinstance(given, list | tuple) else given
