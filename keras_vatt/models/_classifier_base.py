"""What the classifiers on one modality of a VATT backbone share."""

import math

import keras
import numpy as np
import scipy.special

from keras_vatt.data._class_labels import (
    check_class_names,
    check_labels,
    label_rows,
)
from keras_vatt.inference._batch_dtypes import check_dtype, has_numbers
from keras_vatt.inference._clip_reader import ClipReader
from keras_vatt.inference._evaluation_batches import EvaluationBatches, with_early_end
from keras_vatt.inference._pooled_encoder import pooled_features
from keras_vatt.inference._raw_batches import RawBatches
from keras_vatt.layers import SeededDropout
from keras_vatt.models import _classifier_defaults as defaults
from keras_vatt.models._task import VATTTask, blanked
from keras_vatt.training._finite import check_finite
from keras_vatt.training._frozen_layers import freeze_layers, frozen_layers
from keras_vatt.training._schedules import warn_of_a_long_schedule


class VATTClassifier(VATTTask):
    """Base class of the classifiers: the backbone's pooled feature, a Dense layer.

    Raw clips are decoded batch by batch; arrays, `tf.data` datasets and all else that
    Keras takes goes to Keras as it is. `fit` and `evaluate` compile a model that isn't
    compiled yet with the defaults of `compile`.

    With `classifier.backbone.trainable = False` only the head is trained, on features
    in inference mode: a frozen backbone has no dropout and no DropToken, whose noise
    it can't learn to bear. Compile again after changing `trainable`.
    """

    modality = None
    input_kind = None
    default_dropout = 0.0
    kernel_initializer = "glorot_uniform"

    def __init__(
        self,
        backbone,
        num_classes,
        dropout=None,
        class_names=None,
        multi_label=False,
        preprocessor=None,
        name=None,
    ):
        super().__init__(compile=False, name=name)
        if self.modality not in backbone.modalities:
            raise ValueError(
                f"{type(self).__name__} needs a backbone with '{self.modality}'. "
                f"Received: modalities={backbone.modalities}"
            )
        self.backbone = backbone
        self.preprocessor = preprocessor
        self.dtype_policy = backbone.dtype_policy
        self.num_classes = num_classes
        self.dropout = self.default_dropout if dropout is None else dropout
        self.class_names = check_class_names(class_names, num_classes)
        self.multi_label = bool(multi_label)
        self.build(None)

    def build(self, input_shape=None):
        if self.built:
            return
        self.output_dropout = SeededDropout(
            self.dropout, dtype=self.dtype_policy, name="output_dropout"
        )
        # Logits in float32, so that softmax and losses are accurate.
        self.classifier = keras.layers.Dense(
            self.num_classes,
            kernel_initializer=self.kernel_initializer,
            bias_initializer=self._bias_initializer(),
            dtype="float32",
            name="classifier",
        )
        feature_dim = self.backbone.feature_dims[self.modality]
        self.classifier.build((None, feature_dim))
        self.built = True

    def call(self, inputs, training=None):
        """Logits of clips.

        Args:
            inputs: the input of the modality; see
                `VATTBackbone.encode_modality`. Images are
                `(images, height, width, 3)`.
            training: bool. Whether dropout and DropToken are active; in a frozen
                backbone they never are.

        Returns:
            float32 tensor of shape `(clips, num_classes)`.
        """
        pooled = pooled_features(
            self.backbone,
            self.input_kind,
            inputs,
            training=training,
        )
        return self.classifier(self.output_dropout(pooled, training=training))

    def compile(
        self,
        optimizer="auto",
        loss="auto",
        metrics="auto",
        auto_scale_loss=True,
        **kwargs,
    ):
        """Prepares the model for training.

        Args:
            optimizer: a Keras optimizer or its name. Defaults to `"auto"`, Adam at a
                constant rate, 0.1 divided by the size of the features and at most
                0.001: it needs some hundred steps. VATT's recipe for 100,000 steps is
                `keras_vatt.training.fine_tuning_optimizer(total_steps=...)`.
            loss: a loss of logits. Defaults to `"auto"`, VATT's: with one class a clip
                `keras_vatt.losses.SoftmaxCrossentropy(label_smoothing=0.1)`, with
                `multi_label` `keras_vatt.losses.BalancedBinaryCrossentropy()`.
            metrics: list of metrics of logits. Defaults to `"auto"`: with one class a
                clip the shares `top_1` and `top_5` of clips whose class is among the
                first, with `multi_label` the areas `auc` and `pr_auc` under the ROC
                and the precision-recall curve, as means over the classes.
            auto_scale_loss: bool, see `keras.Model.compile`. It is saved with the
                model. Defaults to `True`.
            **kwargs: the other arguments of `keras.Model.compile`.
        """
        self.auto_scale_loss = auto_scale_loss
        if isinstance(optimizer, str) and optimizer == "auto":
            feature_dim = self.backbone.feature_dims[self.modality]
            optimizer = defaults.default_optimizer(feature_dim)
        if isinstance(loss, str) and loss == "auto":
            loss = defaults.default_loss(self.multi_label)
        if isinstance(metrics, str) and metrics == "auto":
            metrics = defaults.default_metrics(self.multi_label, self.num_classes)
        super().compile(
            optimizer=optimizer,
            loss=loss,
            metrics=metrics,
            auto_scale_loss=auto_scale_loss,
            **kwargs,
        )

    def get_compile_config(self):
        config = super().get_compile_config()
        # Keras leaves them out.
        own = self.compiled and {
            "auto_scale_loss": self.auto_scale_loss,
            "frozen_layers": frozen_layers(self),
        }
        return config and config | own

    def compile_from_config(self, config):
        config = dict(config)
        freeze_layers(self, config.pop("frozen_layers", ()))
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def fit(
        self,
        x=None,
        y=None,
        batch_size=None,
        *,
        sample_weight=None,
        validation_data=None,
        shuffle=True,
        augmentation=None,
        mixup=None,
        window="random",
        short_clips="repeat",
        on_error="skip",
        **kwargs,
    ):
        """Trains the head, and the backbone unless it is frozen.

        Of raw audio and video longer than the model's clips a random window is taken,
        another one in each epoch. Validation takes the middle. A file that can't be
        used is replaced by the next clip of the list, with its label.

        Args:
            x: a list of raw clips (see `predict`), an array of them, or a dataset.
            y: labels: classes as integers, one-hot rows, or with `multi_label` rows
                with 1 for each label of a clip. Defaults to `None`, they come with the
                dataset.
            batch_size: int. Defaults to `None`, 32 for clips and arrays.
            sample_weight: a weight for each clip. Defaults to `None`.
            validation_data: tuple of clips, labels and optional weights, or a dataset.
                Defaults to `None`.
            shuffle: bool. Whether each epoch has an order of its own. Defaults to
                `True`.
            augmentation: function `(clip, generator)` that gives a changed clip, drawn
                anew in each epoch, such as `keras_vatt.data.FrameAugmentation()`, with
                which VATT is fine-tuned on video. Defaults to `None`.
            mixup: `keras_vatt.training.Mixup()`, with which VATT is fine-tuned on
                AudioSet. Defaults to `None`.
            window: string. Window of a long raw clip in training: `"random"` or
                `"middle"`. Defaults to `"random"`. The seed of
                `keras.utils.set_random_seed` determines it.
            short_clips: string, see `predict`. Defaults to `"repeat"`.
            on_error: string. `"skip"` logs a file that can't be used, adds it to
                `clip_report` and continues without it, in training and validation;
                `"raise"` raises its error. Missing files are named before the first
                epoch. Defaults to `"skip"`.
            **kwargs: the other arguments of `keras.Model.fit`, such as `epochs` and
                `callbacks`.

        Returns:
            `keras.callbacks.History`.

        Raises:
            ValueError: if labels don't fit the classes or the number of clips, or what
                is to be augmented or mixed are no clips in a list or an array.
            keras_vatt.data.MediaError: if no clip can be used, or with
                `on_error="raise"` if one can't.

        Example:
        ```python
        classifier = keras_vatt.VATTAudioClassifier.from_preset(
            "vatt_tiny_agnostic", num_classes=2
        )
        sounds = [(np.zeros(48_000, "float32"), 16_000)] * 4
        mixup = keras_vatt.training.Mixup()
        classifier.fit(sounds, [0, 1, 0, 1], batch_size=2, mixup=mixup)
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
        y, sample_weight = _as_array(y), _as_array(sample_weight)
        check_labels(y, self.num_classes, self.multi_label)
        given = {
            "x": x,
            "y": y,
            "batch_size": batch_size,
            "sample_weight": sample_weight,
            "shuffle": shuffle,
        }
        changes = {"augmentation": augmentation, "mixup": mixup}
        is_changed = any(change is not None for change in changes.values())
        if is_changed or self._is_raw(self.input_kind, x):
            batches = RawBatches(
                self._training_reader(x, y, **reading),
                labels=label_rows(y, self.num_classes) if mixup is not None else y,
                sample_weight=sample_weight,
                batch_size=batch_size or 32,
                shuffle=shuffle,
                random_windows=window == "random",
                **changes,
            )
            # They have an order of their own each epoch.
            given = {"x": batches, "shuffle": False}
        warn_of_a_long_schedule(self.optimizer, _num_steps(given, kwargs))
        kwargs = self._with_early_end(validation_data, kwargs)
        with self._reading(given["x"], validation_data):
            return super().fit(validation_data=validation_data, **given, **kwargs)

    def evaluate(
        self,
        x=None,
        y=None,
        batch_size=None,
        *,
        sample_weight=None,
        short_clips="repeat",
        on_error="skip",
        **kwargs,
    ):
        """Loss and metrics, on one window of each clip.

        Files that can't be used are left out: the results are those of the list
        without them.

        Args:
            x: see `fit`.
            y: see `fit`.
            batch_size: int. Defaults to `None`, 32 for clips and arrays.
            sample_weight: a weight for each clip. Defaults to `None`.
            short_clips: string, see `predict`. Defaults to `"repeat"`.
            on_error: string, `"skip"` or `"raise"`, see `fit`. Defaults to `"skip"`.
            **kwargs: the other arguments of `keras.Model.evaluate`.

        Returns:
            List of numbers, or a dict with `return_dict=True`.

        Raises:
            ValueError: if labels don't fit the classes or the number of clips.
            keras_vatt.data.MediaError: if no clip can be used, or with
                `on_error="raise"` if one can't.
        """
        self._compile_by_default()
        self._check_clips(x)
        y, sample_weight = _as_array(y), _as_array(sample_weight)
        check_labels(y, self.num_classes, self.multi_label)
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
        x,
        batch_size=None,
        *,
        num_windows=1,
        num_crops=1,
        short_clips="repeat",
        on_error="skip",
        **kwargs,
    ):
        """Logits of clips, as means over their windows and crops.

        VATT tests on 4 windows of each sound, and on 4 windows with 3 crops of each
        video, whose logits are averaged.

        Args:
            x: raw clips, one or a list: each a path, a `keras_vatt.data.MediaSegment`,
                bytes, or a tuple of an array and its rate (of images: a path, bytes,
                or a uint8 array); or arrays or a dataset.
            batch_size: int. How many windows run at a time. Defaults to `None`, 32 for
                clips and arrays.
            num_windows: int. Windows of each raw clip, spread evenly from its start to
                its end. Defaults to `1`, its middle.
            num_crops: int. Crops of each window of video, or of each image. Defaults to
                `1`, the centre.
            short_clips: string. Rule for raw audio and video shorter than the model's
                clips: `"repeat"`, `"pad"` or `"error"`; see `VATTVideoConverter.call`.
                Defaults to `"repeat"`.
            on_error: string. `"skip"` logs a file that can't be used, adds it to
                `clip_report` and continues; `"raise"` raises its error. Defaults to
                `"skip"`.
            **kwargs: the other arguments of `keras.Model.predict`.

        Returns:
            float32 NumPy array of shape `(clips, num_classes)`. It is NaN for clips
            that were skipped.

        Raises:
            ValueError: if windows or crops are asked for of what has none.
            keras_vatt.data.MediaError: if no clip can be used, or with
                `on_error="raise"` if one can't.
        """
        self._check_clips(x)
        if not self._is_raw(self.input_kind, x):
            if (num_windows, num_crops) != (1, 1):
                raise ValueError(
                    "Windows and crops are taken of raw clips, and arrays or a dataset "
                    f"were given. Received: num_windows={num_windows}, "
                    f"num_crops={num_crops}"
                )
            return super().predict(x, batch_size=batch_size, **kwargs)
        reader = self._clip_reader(
            self.input_kind, x, num_windows, num_crops, short_clips, on_error
        )
        rows_per_clip = num_windows * num_crops
        batches = RawBatches(
            reader, batch_size=batch_size or 32, rows_per_clip=rows_per_clip
        )
        with self._reading(batches):
            logits = super().predict(batches, **kwargs)
        logits = logits.reshape(-1, rows_per_clip, self.num_classes).mean(1)
        return blanked(logits, reader.skipped)

    def classify(
        self,
        x,
        top_k=5,
        num_windows=1,
        num_crops=1,
        batch_size=None,
        short_clips="repeat",
        on_error="skip",
    ):
        """The most probable classes of clips.

        Args:
            x: see `predict`.
            top_k: int. How many classes of each clip. Defaults to `5`.
            num_windows: int, see `predict`. Defaults to `1`.
            num_crops: int, see `predict`. Defaults to `1`.
            batch_size: int, see `predict`. Defaults to `None`.
            short_clips: string, see `predict`. Defaults to `"repeat"`.
            on_error: string, `"skip"` or `"raise"`, see `predict`. Defaults to
                `"skip"`.

        Returns:
            List with a list for each clip, of tuples of the class (its name, or its
            number where the model has no `class_names`) and its probability, the most
            probable first. With `multi_label` each class has a probability of its own.
            The list of a clip that was skipped is empty.

        Example:
        ```python
        classifier = keras_vatt.VATTAudioClassifier.from_preset(
            "vatt_tiny_agnostic", num_classes=2, class_names=("speech", "music")
        )
        sound = np.zeros(48_000, "float32"), 16_000
        classifier.classify(sound, top_k=1)  # [[("music", 0.52)]]
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

    def weight_groups(self):
        """The parts whose weights make up the model, by stable name."""
        return {"backbone": self.backbone, "classifier": self.classifier}

    def get_config(self):
        names = self.class_names
        return super().get_config() | {
            "num_classes": self.num_classes,
            "dropout": self.dropout,
            "class_names": None if names is None else list(names),
            "multi_label": self.multi_label,
        }

    @classmethod
    def keeps_head(cls, saved, asked):
        """Whether a saved head is the one that is asked for; see `TaskFromPreset`."""
        if asked.get("num_classes") not in (None, saved.get("num_classes")):
            return False
        names = [config.get("class_names") for config in (saved, asked)]
        return None in names or list(names[0]) == list(names[1])

    def _compile_by_default(self):
        if not self.compiled:
            self.compile()

    def _check_trainable(self):
        """Refuse other weights than the optimizer has begun to train."""
        trained = id(self.optimizer), [id(v) for v in self.trainable_variables]
        before = self.__dict__.get("_trained")
        if before is not None and before[0] == trained[0] and before != trained:
            raise ValueError(
                "Other weights are trainable than when `fit` ran before, after "
                "`trainable` was set or LoRA was enabled: call `compile` again first."
            )
        # Past Keras' tracker, which would wrap the list.
        self.__dict__["_trained"] = trained

    def _check_clips(self, x):
        if isinstance(x, list) and not self._is_raw(self.input_kind, x):
            rate = "" if self.input_kind == "image" else ", or tuples (array, rate)"
            first = f" of {type(x[0]).__name__}" if x else ", which is empty"
            raise ValueError(
                f"A list holds raw clips: paths, bytes{rate}. Received: a list{first}. "
                "A batch of arrays is one NumPy array."
            )
        if has_numbers(x) and not self._is_raw(self.input_kind, x):
            check_dtype(self.input_kind, x.dtype)
        if isinstance(x, np.ndarray):
            check_finite(self.modality, x)

    def _validation(
        self, x, y=None, sample_weight=None, *, batch_size, short_clips, on_error
    ):
        self._check_clips(x)
        y, sample_weight = _as_array(y), _as_array(sample_weight)
        check_labels(y, self.num_classes, self.multi_label)
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

    def _training_reader(self, x, y, **reading):
        """A `ClipReader` of raw clips, or of an array of clips to be changed."""
        _check_given(y)
        if self._is_raw(self.input_kind, x):
            return self._clip_reader(self.input_kind, x, **reading)
        if not isinstance(x, list | np.ndarray):
            raise ValueError(
                "Clips are augmented and mixed where they come in a list or an array. "
                f"Received: a {type(x).__name__}; change its batches yourself."
            )
        return ClipReader(x, np.stack)

    def _with_early_end(self, batches, kwargs):
        """Arguments of a loop that may end before the last of its batches."""
        if not isinstance(batches, EvaluationBatches):
            return kwargs
        if self.steps_per_execution > 1:
            batches.verify()
        return kwargs | {"callbacks": with_early_end(kwargs.get("callbacks"), batches)}

    def _bias_initializer(self):
        if not self.multi_label:
            return "zeros"
        # Where each class has the probability `1 / num_classes`.
        others = max(self.num_classes - 1, 1)
        return keras.initializers.Constant(-math.log(others))


def best_classes(probabilities, names, top_k):
    """The most probable classes of each row, as lists of tuples.

    Args:
        probabilities: array of shape `(rows, classes)`; NaN for clips without any.
        names: sequence with a name for each class.
        top_k: int. How many; all if there are fewer.

    Returns:
        List with a list for each row, of tuples of a name and a float; an empty one
        for a row of NaN.
    """
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :top_k]
    return [
        [(names[i], float(row[i])) for i in indices if not np.isnan(row[i])]
        for row, indices in zip(probabilities, order, strict=True)
    ]


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


def _check_given(labels):
    if labels is None:
        raise ValueError("Raw clips need labels: give `y`, with one for each clip.")


def _as_array(given):
    """A list as an array, which Keras takes beside an array of clips."""
    return np.asarray(given) if isinstance(given, list | tuple) else given


def _softmax(logits):
    return scipy.special.softmax(logits, axis=1)
