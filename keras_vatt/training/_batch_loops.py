"""The loops of a `HarmonizedModel`: Keras', for data without targets."""

from __future__ import annotations

import math
from typing import Any

import keras

from keras_vatt._keras_internals import CACHED_EVALUATION
from keras_vatt.training._batch_checks import (
    check_batch_sizes,
    refuse_targets,
    warn_of_nonfinite,
    with_arrays,
)
from keras_vatt.training._kept_weights import KeepsWeights


class BatchLoops(KeepsWeights):
    """Mixin with the loops of a `HarmonizedModel`, before `keras.Model`.

    They refuse targets and weights, which the losses can't use, check the batches
    before they begin, and name the numbers that they return.
    """

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        **kwargs: Any,
    ) -> keras.callbacks.History:
        """Trains the model.

        Args:
            x: dict of arrays, the whole dataset; or a dataset of such dicts: anything
                that `keras.Model.fit` takes.
            y: must be `None`: there are no targets.
            batch_size: int. With arrays, the number of samples of a batch. Each batch,
                the last one included, must be a multiple of `num_groups` and
                `num_micro_batches` of `compile`. Defaults to `None`, 32.
            epochs: int. Defaults to `1`.
            **kwargs: the other arguments of `keras.Model.fit`, except
                `sample_weight` and `class_weight`.

        Returns:
            `keras.callbacks.History`.

        Raises:
            ValueError: if targets or weights are given, a batch can't be cut into equal
                parts, nothing is trainable, or other weights are than when `compile`
                was called.
        """
        x, validation_data = with_arrays(x), kwargs.get("validation_data")
        self._check_data(x, y, **_selected(kwargs, "sample_weight", "class_weight"))
        if isinstance(validation_data, tuple | list):
            self._check_data(*validation_data)
        else:
            warn_of_nonfinite(validation_data)
        first = _training_part(x, kwargs.get("validation_split"))
        check_batch_sizes(first, batch_size, self.parts_of_a_batch())
        return super().fit(x=x, batch_size=batch_size, epochs=epochs, **kwargs)

    def evaluate(
        self, x: Any = None, y: Any = None, batch_size: int | None = None, **kwargs: Any
    ) -> list[float] | dict[str, float]:
        """Computes the losses of a dataset.

        Args:
            x: see `fit`.
            y: must be `None`: there are no targets.
            batch_size: int. Defaults to `None`, 32 for arrays.
            **kwargs: the other arguments of `keras.Model.evaluate`.

        Returns:
            List of floats in the order of `metrics_names`, which begins with the
            losses; or a dict with `return_dict=True`.

        Raises:
            ValueError: if targets or weights are given.
        """
        refuse_targets(y, **_selected(kwargs, "sample_weight"))
        self._check_compiled()
        if not kwargs.get(CACHED_EVALUATION):  # Else `fit` has warned.
            warn_of_nonfinite(x)
        return_dict = kwargs.pop("return_dict", False)
        logs = super().evaluate(
            x=with_arrays(x), batch_size=batch_size, return_dict=True, **kwargs
        )
        return logs if return_dict else self._in_order(logs)

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Any = None,
        return_dict: bool = False,
    ) -> list[float] | dict[str, float]:
        """Trains on one batch.

        Args:
            x: dict of arrays, the batch.
            y: must be `None`, and so must `sample_weight` and `class_weight`.
            sample_weight: must be `None`.
            class_weight: must be `None`.
            return_dict: bool. Defaults to `False`.

        Returns:
            List of the metrics so far in the order of `metrics_names`, or a dict with
            `return_dict=True`.

        Raises:
            ValueError: if targets or weights are given.
        """
        self._check_data(x, y, sample_weight, class_weight)
        logs = super().train_on_batch(with_arrays(x), return_dict=True)
        return logs if return_dict else self._in_order(logs)

    def test_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        return_dict: bool = False,
    ) -> list[float] | dict[str, float]:
        """Computes the losses of one batch.

        Args:
            x: dict of arrays, the batch.
            y: must be `None`, and so must `sample_weight`.
            sample_weight: must be `None`.
            return_dict: bool. Defaults to `False`.

        Returns:
            See `evaluate`.

        Raises:
            ValueError: if targets or weights are given.
        """
        self._check_data(x, y, sample_weight)
        self._check_compiled()
        logs = super().test_on_batch(with_arrays(x), return_dict=True)
        return logs if return_dict else self._in_order(logs)

    @property
    def metrics_names(self) -> list[str]:
        """Names of the numbers that `train_on_batch` returns, a list of strings.

        The first of them, `"loss"` and the loss of each pair, are those that `evaluate`
        and `test_on_batch` return.
        """
        if not self.compiled:
            return []
        return ["loss", *self.step_metrics.names]

    def _in_order(self, logs):
        return [logs[name] for name in self.metrics_names if name in logs]

    def _check_data(self, x, y=None, sample_weight=None, class_weight=None):
        refuse_targets(y, sample_weight, class_weight)
        warn_of_nonfinite(x)

    def _check_compiled(self):
        # On PyTorch Keras would miss the optimizer first.
        if not self.compiled:
            raise ValueError("You must call `compile()` before using the model.")


def _selected(arguments, *names):
    return {name: arguments.get(name) for name in names}


def _training_part(x, validation_split):
    """Returns the part of the data that Keras trains on if it splits off the end."""
    if not validation_split or not isinstance(x, dict):
        return x
    return {
        name: value[: math.floor(len(value) * (1 - validation_split))]
        for name, value in x.items()
        if hasattr(value, "__len__")
    }
