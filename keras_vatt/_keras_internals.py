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
from keras.src.backend.common.masking import get_keras_mask, set_keras_mask
from keras.src.backend.common.variables import get_autocast_scope
from keras.src.layers.merging.base_merge import Merge
from keras.src.losses.loss import apply_mask, reduce_weighted_values
from keras.src.models.functional import Functional
from keras.src.trainers.compile_utils import CompileLoss
from keras.src.trainers.data_adapters import get_data_adapter
from keras.src.trainers.data_adapters.data_adapter import DataAdapter
from keras.src.utils.module_utils import tensorflow

__all__ = [
    "DataAdapter",
    "Functional",
    "get_data_adapter",
    "get_keras_mask",
    "set_keras_mask",
]

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


def builds_weights(layer: keras.layers.Layer) -> bool:
    """Returns whether a layer is not built yet and may create weights when it is."""
    if layer.built or isinstance(layer, Merge):
        return False
    return type(layer).build not in (keras.layers.Layer.build, keras.Model.build)


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


def output_structure(model: keras.Model) -> Any:
    """Returns the nest of symbolic tensors that a functional model returns."""
    structure = model._outputs_struct
    if isinstance(structure, list | tuple) and len(structure) == 1:
        return structure[0]
    return structure


def input_structure(model: keras.Model) -> Any:
    """Returns the nest of symbolic tensors that a functional model takes."""
    return model._inputs_struct


def producing_node(tensor: keras.KerasTensor) -> Any:
    """Returns the node of a functional graph that a symbolic tensor comes from."""
    history = tensor._keras_history
    return history.operation._inbound_nodes[history.node_index]


class TargetResolver(CompileLoss):
    """Finds the targets, weights and the output of each loss, as `keras.Model` does.

    Args:
        model: a compiled functional `keras.Model`.

    Attributes:
        records: list of Keras' records of one loss each, with `path`, `loss`,
            `loss_weights` and `name`; known after the first call.
    """

    def __init__(self, model: keras.Model) -> None:
        source = model._compile_loss
        super().__init__(
            source._user_loss,
            source._user_loss_weights,
            output_names=source.output_names,
        )
        self._structure = None

    def build(self, y_true: Any, y_pred: Any) -> None:
        super().build(y_true, y_pred)
        self.records = self._flat_losses
        # Instead of the losses, a function that records its arguments is called.
        self._flat_losses = [
            self.Loss(record.path, self._record, None, record.name)
            for record in self.records
        ]
        self._metrics = [None] * len(self.records)

    def _record(self, y_true, y_pred, sample_weight=None):
        self._found.append((y_true, y_pred, sample_weight))
        return 0.0

    def resolve(self, y: Any, y_pred: Any, sample_weight: Any) -> list[tuple]:
        """Returns a tuple of targets, output and weights for each loss.

        Args:
            y: the targets, in any structure that Keras takes.
            y_pred: nest with the structure of the model's outputs.
            sample_weight: weights, in any structure that Keras takes, or `None`.
        """
        structure = keras.tree.map_structure(lambda _: None, y)
        if structure != self._structure:
            self._structure, self.built = structure, False
        self._found = []
        self.call(y, y_pred, sample_weight)
        return self._found


def weighted_loss_values(
    loss: keras.losses.Loss, y: Any, y_pred: Any, sample_weight: Any
) -> tuple[Any, Any]:
    """Computes the values of a loss before their reduction to a scalar.

    Args:
        loss: `keras.losses.Loss`.
        y: the targets.
        y_pred: an output of the model, with a Keras mask or without.
        sample_weight: weights or `None`.

    Returns:
        Tuple of the weighted values, and of the number that their sum is divided by.
    """
    mask = get_keras_mask(y_pred)
    y_pred, y = (
        keras.tree.map_structure(
            lambda x: keras.ops.convert_to_tensor(x, dtype=loss.dtype), nest
        )
        for nest in (y_pred, y)
    )
    values = loss.call(y, y_pred)
    own_mask = get_keras_mask(values)
    if mask is None or own_mask is None:
        mask = own_mask if mask is None else mask
    else:
        mask = keras.ops.logical_and(mask, own_mask)
    values = keras.ops.convert_to_tensor(values, dtype=loss.dtype)
    weights = sample_weight
    if weights is not None:
        weights = keras.ops.convert_to_tensor(weights, dtype=loss.dtype)
    if mask is not None:
        mask = keras.ops.convert_to_tensor(mask, dtype=loss.dtype)
    weights = apply_mask(weights, mask, dtype=values.dtype, reduction=loss.reduction)
    values = reduce_weighted_values(values, weights, reduction=None, dtype=loss.dtype)
    if loss.reduction == "sum":
        return values, 1.0
    if loss.reduction == "mean_with_sample_weight" and weights is not None:
        return values, keras.ops.sum(weights)
    size = keras.ops.convert_to_tensor(keras.ops.shape(values), dtype="int32")
    return values, keras.ops.cast(keras.ops.prod(size), values.dtype)


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

    def _symbolic_build(self, iterator: Any = None, data_batch: Any = None):
        """Does nothing but what follows the build."""
        self._post_build()


class BatchNormalizationByMoments(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization` whose moments a subclass can redefine."""

    def moments(self, inputs: Any, mask: Any) -> tuple[Any, Any]:
        """Computes the mean and the variance over the batch."""
        return super()._moments(inputs, mask)

    def _moments(self, inputs, mask):
        return self.moments(inputs, mask)
