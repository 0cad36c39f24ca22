"""Initializes the variables of models with stored values, not with random ones."""

import contextlib

import keras
from keras import ops
from keras.src.backend.common import global_state

from keras_vatt.storage._finite_weights import check_finite

_UNINITIALIZED = "uninitialized_variables"


@contextlib.contextmanager
def deferred_weights():
    """Delays the initialization of the variables that are made in this context.

    Random values that are replaced at once would double the memory of loading and take
    most of its time. So the variables stay uninitialized until the end of the context.
    Then the variables in the list get their stored values, the others random values.
    Under a distribution, which shards variables as they are initialized, stored values
    replace the random ones instead. After an error in the context the variables are
    dropped, because they may not fit into memory.

    Yields:
        List to append pairs to: a variable, and an object whose method `read` returns
        the value as a NumPy array.

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
        with _dropped_after_errors():
            yield pending
        for variable, tensor in pending:
            starts.append((variable, _StoredValue(tensor, variable.path)))
            # Keras calls it at the end of the scope.
            variable._initializer = starts[-1][1]
    for variable, start in starts:
        if not start.was_read:
            variable.assign(start(variable.shape, variable.dtype))
        if start.error is not None:
            raise start.error


def register_parameters(model):
    """Registers the parameters of all layers with PyTorch, like building them does.

    Args:
        model: a model that was made in a `deferred_weights` context, after its end. In
            an outer context the variables have no values yet and nothing happens: the
            caller that opened it must call this function.
    """
    has_values = all(variable._value is not None for variable in model.variables)
    if keras.config.backend() == "torch" and has_values:
        for module in model.modules():
            getattr(module, "torch_params", None)


@contextlib.contextmanager
def _dropped_after_errors():
    """Drops the uninitialized variables after an error, so that none is allocated."""
    count = len(global_state.get_global_attribute(_UNINITIALIZED) or ())
    try:
        yield
    except BaseException:
        waiting = global_state.get_global_attribute(_UNINITIALIZED) or []
        global_state.set_global_attribute(_UNINITIALIZED, waiting[:count])
        raise


class _StoredValue:
    """An initializer that reads the value from a file."""

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
            # Raised here, it would leave uninitialized variables in Keras' global state
            # and break every later model.
            self.error = error
            return ops.zeros(shape, dtype)
