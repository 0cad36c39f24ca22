"""All private names of Keras and KerasHub that this package uses.

They may change in any release. Fix failures after an update of Keras here.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

import keras
from keras.src.backend.common import global_state
from keras.src.backend.common.variables import get_autocast_scope
from keras.src.trainers.data_adapters import get_data_adapter
from keras.src.trainers.data_adapters.data_adapter import DataAdapter
from keras.src.utils.module_utils import tensorflow

__all__ = ["DataAdapter", "get_data_adapter"]

# Argument of `evaluate` by which `fit` requests the cached validation dataset.
CACHED_EVALUATION = "_use_cached_eval_dataset"
# The property of KerasHub's tasks and the attribute that stores it.
PREPROCESSOR_NAMES = ("preprocessor", "_preprocessor")
_UNINITIALIZED = "uninitialized_variables"


def all_layers(
    layer: keras.layers.Layer, include_self: bool = True, recursive: bool = True
) -> list[keras.layers.Layer]:
    """Returns the layers of a layer or model, nested ones included."""
    return list(layer._flatten_layers(include_self, recursive))


def value_or_none(variable: keras.Variable) -> Any:
    """Returns the value of a variable; `None` if it has none."""
    return variable._value


def forget_jax_state(model: keras.Model) -> None:
    """Drops the values that an earlier loop or step on JAX has left in a model.

    Keras drops them only after a loop without an error. `jax_state_sync` would put them
    back, although another step may have donated their memory meanwhile.
    """
    model._jax_state = None


def own_kernel(layer: keras.layers.Dense) -> keras.Variable:
    """Returns the kernel variable of a layer, without the product of LoRA matrices."""
    return layer._kernel


def enters_no_autocast_scope(layer: keras.layers.Layer) -> bool:
    """Returns whether a layer casts variables as the layer that calls it does."""
    scope = get_autocast_scope()
    if scope is None:
        return layer.compute_dtype == layer.variable_dtype
    return scope.dtype == layer.compute_dtype


def loss_tracker(model: keras.Model) -> keras.metrics.Metric:
    """Returns the metric of the loss that `keras.Model.compile` creates."""
    return model._loss_tracker


def built_variables(optimizer: keras.optimizers.Optimizer) -> list[keras.Variable]:
    """Returns the variables that an optimizer was built with."""
    return optimizer._trainable_variables


def averaged_weights(optimizer: keras.optimizers.Optimizer) -> list[tuple[Any, Any]]:
    """Returns pairs of a weight and its moving average; none without `use_ema`."""
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    if not optimizer.use_ema:
        return []
    averages = optimizer._model_variables_moving_average
    return list(zip(optimizer._trainable_variables, averages, strict=True))


def keep_averages_apart(optimizer: keras.optimizers.Optimizer) -> None:
    """Prevents `fit` from replacing the weights by their averages at its end.

    On JAX, Keras does so after an error as well, and hides it by another one if the
    values of the weights are not in the model.
    """
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    set_untracked(optimizer, "finalize_variable_values", lambda variables: None)


def set_untracked(instance: Any, name: str, value: Any) -> None:
    """Sets an attribute that Keras does not track.

    Keras' tracker wraps lists and accepts no new state once a model is built.
    """
    object.__setattr__(instance, name, value)


def set_initializer(variable: keras.Variable, initializer: Callable) -> None:
    """Replaces the initializer of a variable that has no value yet."""
    variable._initializer = initializer


def set_layout(variable: keras.Variable, layout: Any) -> None:
    """Sets the layout that a variable's value, and optimizer slots, will have."""
    variable._layout = layout


def leave_uninitialized(variable: keras.Variable) -> None:
    """Prevents Keras from initializing a variable at the end of a stateless scope."""
    variable._initializer = None
    variable._deferred_initialize = lambda: None


@contextlib.contextmanager
def uninitialized_forgotten_after_errors() -> Iterator[None]:
    """Discards variables that still wait for initialization when an error occurs."""
    count = len(global_state.get_global_attribute(_UNINITIALIZED) or ())
    try:
        yield
    except BaseException:
        waiting = global_state.get_global_attribute(_UNINITIALIZED) or []
        global_state.set_global_attribute(_UNINITIALIZED, waiting[:count])
        raise


@contextlib.contextmanager
def without_tensorflow() -> Iterator[None]:
    """Keeps Keras from importing TensorFlow to serialize objects or to set seeds.

    Keras compares each object with types of TensorFlow, and seeds its generators. If
    TensorFlow is not imported yet, there are neither such objects nor generators.
    """
    if "tensorflow" in sys.modules:
        yield
        return
    available = tensorflow._available
    tensorflow._available = False
    try:
        yield
    finally:
        tensorflow._available = available


@contextlib.contextmanager
def gradients_summed_already(optimizer: keras.optimizers.Optimizer) -> Iterator[None]:
    """Prevents an optimizer from summing gradients over TensorFlow replicas again.

    Keras 3 has no public argument for it.

    Raises:
        NotImplementedError: if this version of Keras sums them in another way.
    """
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    name = "_all_reduce_sum_gradients"
    if not hasattr(optimizer, name):
        raise NotImplementedError(
            f"This version of Keras sums gradients in another way ({name} is missing). "
            "Training under a tf.distribute strategy needs Keras 3.15: install it."
        )
    object.__setattr__(optimizer, name, list)
    try:
        yield
    finally:
        object.__delattr__(optimizer, name)


class BuiltBeforeFit:
    """Mixin for models that are built in the constructor, before `keras.Model`.

    Such models need no symbolic build. That of Keras averages the first batch over the
    replicas of a `tf.distribute` strategy, which fails if their slices differ in size.
    """

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None):
        """Does nothing."""


class BatchNormalizationByMoments(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization` whose moments a subclass can redefine."""

    def moments(self, inputs: Any, mask: Any) -> tuple[Any, Any]:
        """Computes the mean and the variance over the batch."""
        return super()._moments(inputs, mask)

    def _moments(self, inputs, mask):
        return self.moments(inputs, mask)
