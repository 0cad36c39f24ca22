"""The slice of the batch that layers currently process."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator
from typing import Any

import keras

# The replicas of a TensorFlow strategy are threads, and each needs its own value.
_index = contextvars.ContextVar("index", default=None)


@contextlib.contextmanager
def batch_slice(index: Any) -> Iterator[None]:
    """Marks that layers called in this context process one slice of a batch.

    All devices and micro-batches run the same layers from the same seeds. Random values
    that must differ between samples (dropout masks) then depend on the slice as well;
    those that are the same for all samples (the positions that DropToken keeps) do not.

    Args:
        index: int or scalar int tensor, the index of the slice. `None` is the
            whole batch.

    Example:
    ```python
    dropout = keras_vatt.layers.SeededDropout(0.5)
    with batch_slice(3):
        dropout(np.ones((2, 10), "float32"), training=True)
    ```
    """
    token = _index.set(index)
    try:
        yield
    finally:
        _index.reset(token)


class SliceSeed(keras.random.SeedGenerator):
    """A seed generator with different seeds for each slice of a batch.

    It shares its state with another seed generator. It is a `SeedGenerator` because
    Keras' random functions accept no other type.

    Args:
        generator: the `keras.random.SeedGenerator` to draw seeds from.
    """

    def __init__(self, generator: keras.random.SeedGenerator) -> None:
        vars(self).update(vars(generator))

    def next(self, ordered=True):
        seed = super().next(ordered)
        index = _index.get()
        if index is None:
            return seed
        # The second number counts calls: 2**20 calls per slice have separate seeds.
        index = keras.ops.cast(index, seed.dtype)
        return seed + keras.ops.stack([keras.ops.zeros_like(index), index * 2**20])
