"""Dropout that a checkpoint can resume on every backend."""

from __future__ import annotations

import random
from typing import Any

import keras

from keras_vatt.layers._batch_slice import SliceSeed


@keras.saving.register_keras_serializable(package="keras_vatt")
class SeededDropout(keras.layers.Dropout):
    """`keras.layers.Dropout` that always draws from its own seed.

    Without a seed, Keras' layer draws from PyTorch's global generator on PyTorch.
    Checkpoints do not contain that generator, so a resumed run would differ. This
    layer draws a seed from Python's generator in its constructor, as Keras does
    (`keras.utils.set_random_seed` makes it reproducible). If a batch is processed in
    slices, each slice has its own masks.

    Args:
        rate: float. Fraction of the values to drop in training.
        seed: int. Defaults to `None`, a random seed.
        **kwargs: `name`, `dtype` and the other arguments of
            `keras.layers.Dropout`.

    Example:
    ```python
    dropout = keras_vatt.layers.SeededDropout(0.1)
    dropout(np.ones((2, 10), "float32"), training=True).shape  # (2, 10)
    ```
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        if seed is None:
            seed = random.randint(1, 10**9)
        super().__init__(rate, seed=seed, **kwargs)

    def call(self, inputs: Any, training: bool | None = False) -> Any:
        if not training or self.rate == 0:
            return inputs
        return keras.random.dropout(
            inputs, self.rate, self.noise_shape, seed=SliceSeed(self.seed_generator)
        )
