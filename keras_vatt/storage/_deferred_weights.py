"""Models whose variables start with their stored values, not with random ones."""

import contextlib

import keras
from keras import ops

from keras_vatt._keras_internals import (
    set_initializer,
    uninitialized_forgotten_after_errors,
    value_or_none,
)
from keras_vatt.storage._finite_weights import check_finite


@contextlib.contextmanager
def deferred_weights():
    """Give the variables of a model that is made inside their values from files.

    Random numbers that are replaced at once would double the memory that loading
    takes, and cost most of its time. So the variables are left uninitialised until
    the end, where those of the list start with their tensors, and others as ever.
    Under a distribution, which shards variables as they start, tensors replace the
    random values instead. After an error inside, the variables are forgotten: they may
    be larger than the memory.

    Yields:
        List to which pairs are added: a variable, and anything whose method `read`
        gives its value as a NumPy array.

    Example:
    ```python
    with deferred_weights() as pending:
        layer = keras.layers.Dense(2)
        layer.build((None, 3))
        pending.append((layer.kernel, stored_tensors("folder")["kernel"]))
    ```
    """
    pending, starts = [], []
    shards = keras.distribution.distribution() is not None
    with contextlib.nullcontext() if shards else keras.StatelessScope():
        with uninitialized_forgotten_after_errors():
            yield pending
        for variable, tensor in pending:
            starts.append((variable, _StoredValue(tensor, variable.path)))
            # Keras calls it when the scope ends.
            set_initializer(variable, starts[-1][1])
    for variable, start in starts:
        if not start.was_read:
            variable.assign(start(variable.shape, variable.dtype))
        if start.error is not None:
            raise start.error


def register_parameters(model):
    """Make the parameters of all layers known to PyTorch, as building them does.

    Args:
        model: a model that was made under `deferred_weights`, once that has ended. In
            an outer scope it has no values yet: who opened that one calls this later.
    """
    has_values = all(
        value_or_none(variable) is not None for variable in model.variables
    )
    if keras.config.backend() == "torch" and has_values:
        for module in model.modules():
            getattr(module, "torch_params", None)


class _StoredValue:
    """An initializer that reads a file."""

    def __init__(self, tensor, name):
        self._tensor = tensor
        self._name = name
        self.was_read = False
        self.error = None

    def __call__(self, shape, dtype=None):
        self.was_read = True
        try:
            values = self._tensor.read()
            check_finite(values, keras.backend.standardize_dtype(dtype), self._name)
            return ops.convert_to_tensor(values, dtype=dtype)
        except (OSError, ValueError) as error:
            # Raised here it would leave Keras with variables half initialised, at
            # which every later model would fail.
            self.error = error
            return ops.zeros(shape, dtype)
