"""Keras' loops with a check of each batch on the host."""

import contextlib

import keras

from keras_vatt.inference._batch_dtypes import check_channels, check_dtype, has_numbers
from keras_vatt.inference._batch_values import check_batch
from keras_vatt.training._checked_data import CheckedData, is_dataset

_KINDS = ("video", "image", "audio", "text")


class ChecksInputs:
    """Mixin that raises errors for batches which the model would misinterpret.

    Compiled programs can't raise errors: unknown word ids give NaN on JAX, and zeros or
    a crash on a GPU. So arrays are checked before a loop of Keras starts, and the
    batches of datasets one by one. The mixin is a base class in front of the one whose
    loops it checks.

    `input_kind` is the kind of an input that is not a dict. `vocabulary_size`, of the
    model or its backbone, is the number of word ids.
    """

    input_kind = None

    def fit(self, x=None, y=None, *args, **kwargs):
        """See `keras.Model.fit`."""
        options = {
            # Keras warns of it for datasets that it can't shuffle.
            "shuffle": kwargs.get("shuffle", isinstance(x, keras.utils.PyDataset)),
            "class_weight": kwargs.get("class_weight"),
        }
        with contextlib.ExitStack() as stack:
            weight = kwargs.get("sample_weight")
            x = self._checked(stack, x, y, weight, **options)
            if isinstance(x, CheckedData):
                # Its adapter has already applied them.
                kwargs.pop("class_weight", None)
            validation = kwargs.get("validation_data")
            if validation is not None:
                kwargs["validation_data"] = self._checked_validation(stack, validation)
            return super().fit(x, y, *args, **kwargs)

    def evaluate(self, x=None, y=None, *args, **kwargs):
        """See `keras.Model.evaluate`."""
        if kwargs.get("_use_cached_eval_dataset"):  # `fit` has checked it.
            return super().evaluate(x, y, *args, **kwargs)
        with contextlib.ExitStack() as stack:
            x = self._checked(stack, x, y, kwargs.get("sample_weight"))
            return super().evaluate(x, y, *args, **kwargs)

    def predict(self, x, *args, **kwargs):
        """See `keras.Model.predict`."""
        with contextlib.ExitStack() as stack:
            return super().predict(self._checked(stack, x), *args, **kwargs)

    def train_on_batch(self, x, *args, **kwargs):
        """See `keras.Model.train_on_batch`."""
        self._check_inputs(x)
        return super().train_on_batch(x, *args, **kwargs)

    def test_on_batch(self, x, *args, **kwargs):
        """See `keras.Model.test_on_batch`."""
        self._check_inputs(x)
        return super().test_on_batch(x, *args, **kwargs)

    def predict_on_batch(self, x):
        """See `keras.Model.predict_on_batch`."""
        self._check_inputs(x)
        return super().predict_on_batch(x)

    def _check_inputs(self, x):
        size = getattr(self, "backbone", self).vocabulary_size
        for kind, batch in self._batches_of(x):
            check_batch(kind, batch, size)

    def _check_element(self, element):
        self._check_inputs(keras.utils.unpack_x_y_sample_weight(element)[0])

    def _check_spec(self, element_spec):
        x = keras.utils.unpack_x_y_sample_weight(element_spec)[0]
        for kind, spec in self._batches_of(x):
            check_dtype(kind, spec.dtype)
            if spec.shape.rank is not None:
                check_channels(kind, tuple(spec.shape))

    def _batches_of(self, x):
        given = x if isinstance(x, dict) else {self.input_kind: x}
        return [
            (kind, batch)
            for kind, batch in given.items()
            if kind in _KINDS and has_numbers(batch)
        ]

    def _checked(self, stack, x, y=None, sample_weight=None, **options):
        if not is_dataset(x) or y is not None or sample_weight is not None:
            self._check_inputs(x)
            return x
        data = CheckedData(x, self._check_element, self._check_spec, **options)
        stack.enter_context(data.own_errors())
        return data

    def _checked_validation(self, stack, validation):
        if not isinstance(validation, tuple | list):
            return self._checked(stack, validation)
        x, *others = validation
        return type(validation)([self._checked(stack, x, *others), *others])
