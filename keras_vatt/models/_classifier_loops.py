"""Training, evaluation and inference of the classifiers."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import scipy.special

from keras_vatt.inference._raw_batches import RawBatches
from keras_vatt.models._best_classes import best_classes
from keras_vatt.models._classifier_inputs import ClassifierInputs
from keras_vatt.models._clip_shapes import predicts_shape
from keras_vatt.models._task import blanked
from keras_vatt.models._tower import default_clip_shape
from keras_vatt.training._schedules import warn_of_a_long_schedule


class ClassifierLoops(ClassifierInputs):
    """Mixin of the classifiers whose loops take raw clips."""

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        *,
        sample_weight: Any = None,
        validation_data: Any = None,
        shuffle: bool = True,
        augmentation: Callable | None = None,
        mixup: Any = None,
        window: str = "random",
        short_clips: str = "repeat",
        on_error: str = "skip",
        **kwargs,
    ) -> keras.callbacks.History:
        """Trains the head, and the backbone unless it is frozen.

        Raw audio and video longer than the model's clips gives a random window in each
        epoch, and the middle in validation. A file that can't be used is replaced by
        the next clip of the list, with its label.

        Args:
            x: a list of raw clips (see `predict`), an array of clips, or a dataset.
            y: labels: integer classes, one-hot rows, or with `multi_label` rows with 1
                for each class of a clip. Defaults to `None`, for a dataset.
            batch_size: int. Defaults to `None`, 32 for clips and arrays.
            sample_weight: a weight per clip. Defaults to `None`.
            validation_data: tuple of clips, labels and optional weights, or a dataset.
                Defaults to `None`.
            shuffle: bool. Whether to shuffle the clips in each epoch. Defaults to
                `True`.
            augmentation: function `(clip, generator)` that returns an augmented clip,
                called for each clip in each epoch; for example
                `keras_vatt.data.FrameAugmentation()`, with which VATT is fine-tuned on
                video. Defaults to `None`.
            mixup: `keras_vatt.training.Mixup()`, with which VATT is fine-tuned on
                AudioSet. Defaults to `None`.
            window: string. Window of a long raw clip in training: `"random"`, from the
                seed of `keras.utils.set_random_seed`, or `"middle"`. Defaults to
                `"random"`.
            short_clips: string, see `predict`. Defaults to `"repeat"`.
            on_error: string. `"skip"` logs a file that can't be used, adds it to
                `clip_report` and continues without it, in training and validation;
                `"raise"` raises its error. Missing files are reported before the first
                epoch. Defaults to `"skip"`.
            **kwargs: the other arguments of `keras.Model.fit`, such as `epochs` and
                `callbacks`.

        Returns:
            `keras.callbacks.History`.

        Raises:
            ValueError: if labels don't fit the classes or the number of clips, or
                `augmentation` or `mixup` is used with other data than a list or an
                array.
            keras_vatt.data.MediaError: if no clip can be used, or with
                `on_error="raise"` if any clip can't be used.

        Example:
        ```python
        classifier = keras_vatt.VATTAudioClassifier.from_preset(
            "vatt_tiny_agnostic", num_classes=2
        )
        clips = [(np.zeros(48_000, "float32"), 16_000)] * 4
        mixup = keras_vatt.training.Mixup()
        classifier.fit(clips, [0, 1, 0, 1], batch_size=2, mixup=mixup)
        ```
        """
        self._compile_by_default()
        self._check_trainable()
        if window not in ("random", "middle"):
            raise ValueError(
                f'`window` must be "random" or "middle". Received: window={window!r}'
            )
        self._check_clips(x)
        reading = {"short_clips": short_clips, "on_error": on_error}
        if isinstance(validation_data, tuple):
            validation_data = self._validation(
                *validation_data, batch_size=batch_size, **reading
            )
        y, sample_weight = self._checked_labels(y, sample_weight)
        given = {
            "x": x,
            "y": y,
            "batch_size": batch_size,
            "sample_weight": sample_weight,
            "shuffle": shuffle,
        }
        is_changed = augmentation is not None or mixup is not None
        if is_changed or self._is_raw(self.input_kind, x):
            batches = self._training_batches(
                **given,
                window=window,
                augmentation=augmentation,
                mixup=mixup,
                **reading,
            )
            # They shuffle themselves in each epoch.
            given = {"x": batches, "shuffle": False}
        warn_of_a_long_schedule(self.optimizer, _num_steps(given, kwargs))
        kwargs = self._with_early_end(validation_data, kwargs)
        with self._reading(given["x"], validation_data):
            return super().fit(validation_data=validation_data, **given, **kwargs)

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        *,
        sample_weight: Any = None,
        short_clips: str = "repeat",
        on_error: str = "skip",
        **kwargs,
    ) -> Sequence[float] | dict[str, float] | float:
        """Computes the loss and metrics on one window per clip.

        Clips that can't be used are left out of the results.

        Args:
            x: see `fit`.
            y: see `fit`.
            batch_size: int. Defaults to `None`, 32 for clips and arrays.
            sample_weight: a weight per clip. Defaults to `None`.
            short_clips: string, see `predict`. Defaults to `"repeat"`.
            on_error: string, `"skip"` or `"raise"`, see `fit`. Defaults to `"skip"`.
            **kwargs: the other arguments of `keras.Model.evaluate`.

        Returns:
            List of numbers, or a dict with `return_dict=True`.

        Raises:
            ValueError: if labels don't fit the classes or the number of clips.
            keras_vatt.data.MediaError: if no clip can be used, or with
                `on_error="raise"` if any clip can't be used.
        """
        self._compile_by_default()
        self._check_clips(x)
        y, sample_weight = self._checked_labels(y, sample_weight)
        if not self._is_raw(self.input_kind, x):
            given = {"batch_size": batch_size, "sample_weight": sample_weight}
            return super().evaluate(x=x, y=y, **given, **kwargs)
        batches = self._evaluation_batches(
            x, y, sample_weight, batch_size, short_clips, on_error
        )
        kwargs = self._with_early_end(batches, kwargs)
        with self._reading(batches):
            return super().evaluate(x=batches, **kwargs)

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        *,
        num_windows: int = 1,
        num_crops: int = 1,
        short_clips: str = "repeat",
        on_error: str = "skip",
        **kwargs,
    ) -> np.ndarray:
        """Computes the logits of clips, averaged over their windows and crops.

        VATT tests on 4 windows per audio clip, and on 4 windows with 3 crops each per
        video clip.

        Args:
            x: a raw clip or a list of raw clips: paths, bytes,
                `keras_vatt.data.MediaSegment`s, or tuples of an array and its rate
                (images: paths, bytes, or uint8 arrays); or an array of clips or a
                dataset.
            batch_size: int. Number of windows per batch. Defaults to `None`, 32 for
                clips and arrays.
            num_windows: int. Number of windows per raw clip, evenly spaced from its
                start to its end. Defaults to `1`, the middle.
            num_crops: int. Number of crops per window of video, or per image. Defaults
                to `1`, the center.
            short_clips: string. Rule for raw audio and video shorter than the model's
                clips: `"repeat"`, `"pad"` or `"error"`; see `VATTVideoConverter.call`.
                Defaults to `"repeat"`.
            on_error: string. `"skip"` logs a file that can't be used, adds it to
                `clip_report` and continues; `"raise"` raises its error. Defaults to
                `"skip"`.
            **kwargs: the other arguments of `keras.Model.predict`.

        Returns:
            float32 NumPy array of shape `(clips, num_classes)`, NaN for clips that were
            skipped.

        Raises:
            ValueError: if several windows or crops are requested of arrays or a
                dataset.
            keras_vatt.data.MediaError: if no clip can be used, or with
                `on_error="raise"` if any clip can't be used.
        """
        self._check_clips(x)
        if not self._is_raw(self.input_kind, x):
            if (num_windows, num_crops) != (1, 1):
                raise ValueError(
                    "Windows and crops require raw clips, not arrays or a "
                    f"dataset. Received: num_windows={num_windows}, "
                    f"num_crops={num_crops}"
                )
            with predicts_shape(self, getattr(x, "shape", ())[1:]):
                return super().predict(x, batch_size=batch_size, **kwargs)
        reader = self._clip_reader(
            self.input_kind, x, num_windows, num_crops, short_clips, on_error
        )
        rows_per_clip = num_windows * num_crops
        batches = RawBatches(
            reader, batch_size=batch_size or 32, rows_per_clip=rows_per_clip
        )
        shape = default_clip_shape(self, self.input_kind)
        with self._reading(batches), predicts_shape(self, shape):
            logits = super().predict(batches, **kwargs)
        logits = logits.reshape(-1, rows_per_clip, self.num_classes).mean(1)
        return blanked(logits, reader.skipped)

    def classify(
        self,
        x: Any,
        top_k: int = 5,
        num_windows: int = 1,
        num_crops: int = 1,
        batch_size: int | None = None,
        short_clips: str = "repeat",
        on_error: str = "skip",
    ) -> list[list[tuple[str | int, float]]]:
        """Returns the most probable classes of clips.

        Args:
            x: see `predict`.
            top_k: int. Number of classes per clip. Defaults to `5`.
            num_windows: int, see `predict`. Defaults to `1`.
            num_crops: int, see `predict`. Defaults to `1`.
            batch_size: int, see `predict`. Defaults to `None`.
            short_clips: string, see `predict`. Defaults to `"repeat"`.
            on_error: string, `"skip"` or `"raise"`, see `predict`. Defaults to
                `"skip"`.

        Returns:
            List with a list per clip of tuples `(class, probability)`, the most
            probable first. A class is its name, or its index if the model has no
            `class_names`. With `multi_label` the probabilities are independent. The
            list of a clip that was skipped is empty.

        Example:
        ```python
        classifier = keras_vatt.VATTAudioClassifier.from_preset(
            "vatt_tiny_agnostic", num_classes=2, class_names=("speech", "music")
        )
        clip = np.zeros(48_000, "float32"), 16_000
        classifier.classify(clip, top_k=1)  # [[("music", 0.52)]]
        ```
        """
        if top_k < 1:
            raise ValueError(f"`top_k` must be at least 1. Received: top_k={top_k}")
        logits = self.predict(
            x,
            batch_size=batch_size,
            num_windows=num_windows,
            num_crops=num_crops,
            short_clips=short_clips,
            on_error=on_error,
            verbose=0,
        ).astype(np.float64)
        activate = scipy.special.expit if self.multi_label else _softmax
        names = self.class_names or range(self.num_classes)
        return best_classes(activate(logits), names, top_k)

    def _compile_by_default(self):
        if not self.compiled:
            self.compile()

    def _check_trainable(self):
        """Refuses other trainable weights than those that the optimizer was used on."""
        trained = id(self.optimizer), [id(v) for v in self.trainable_variables]
        before = self.__dict__.get("_trained")
        if before is not None and before[0] == trained[0] and before != trained:
            raise ValueError(
                "The trainable weights have changed since the last `fit`, because "
                "`trainable` was set or LoRA was enabled: call `compile` again first."
            )
        # Not by `setattr`: Keras would wrap the list to track it.
        self.__dict__["_trained"] = trained


def _num_steps(given, options):
    """Returns the number of batches that `fit` trains on; `None` if it is unknown."""
    x, epochs = given["x"], options.get("epochs", 1)
    epochs -= options.get("initial_epoch", 0)
    steps = options.get("steps_per_epoch")
    if steps is None and isinstance(x, keras.utils.PyDataset):
        steps = x.num_batches
    elif steps is None and isinstance(x, np.ndarray):
        steps = math.ceil(len(x) / (given["batch_size"] or 32))
    return None if steps is None else epochs * steps


def _softmax(logits):
    return scipy.special.softmax(logits, axis=1)
