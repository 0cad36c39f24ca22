"""Models whose variables start with their stored values, not with random ones."""

import contextlib

import keras
from keras import ops


@contextlib.contextmanager
def deferred_weights():
    """Give the variables of a model that is made inside their values from files.

    Random numbers that are replaced at once would double the memory that loading
    takes, and cost most of its time. So the variables are left uninitialised until
    the end, where those of the list start with their tensors, and others as ever.
    Under a distribution, which shards variables as they start, tensors replace the
    random values instead.

    Yields:
        List to which pairs of a variable and its
        `keras_vatt.storage.safetensors_weights.StoredTensor` are added.

    Example:
    ```python
    with deferred_weights() as pending:
        layer = keras.layers.Dense(2)
        layer.build((None, 3))
        pending.append((layer.kernel, stored_tensors("folder")["kernel"]))
    ```
    """
    starts = []
    shards = keras.distribution.distribution() is not None
    with contextlib.nullcontext() if shards else keras.StatelessScope():
        pending = []
        yield pending
        for variable, tensor in pending:
            starts.append((variable, _StoredValue(tensor)))
            # Keras calls it when the scope ends.
            variable._initializer = starts[-1][1]
    for variable, start in starts:
        if not start.was_read:
            variable.assign(start(variable.shape, variable.dtype))


class _StoredValue:
    """An initializer that reads a file."""

    def __init__(self, tensor):
        self._tensor = tensor
        self.was_read = False

    def __call__(self, shape, dtype=None):
        self.was_read = True
        return ops.convert_to_tensor(self._tensor.read(), dtype=dtype)
