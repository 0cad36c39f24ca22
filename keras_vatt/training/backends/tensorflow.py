"""The TensorFlow functions of the harmonized step; see `protocol.Backend`."""

import keras
import tensorflow as tf

from keras_vatt.training import _gradient_lists
from keras_vatt.training._branch_scope import BranchScope
from keras_vatt.training.backends import tensorflow_replicas


def check_devices():
    """Refuses distributions that TensorFlow or Keras does not support.

    Raises:
        ValueError: under a `keras.distribution` or a strategy of several workers.
    """
    if keras.distribution.distribution() is not None:
        raise ValueError(
            "Keras does not support `keras.distribution` on TensorFlow. Use a "
            "`tf.distribute.MirroredStrategy` or `TPUStrategy`, or the JAX backend."
        )
    strategy = tf.distribute.get_strategy()
    if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        raise ValueError(
            "`fit` of Keras 3 fails under `MultiWorkerMirroredStrategy` "
            "(https://github.com/keras-team/keras/issues/20585). For several hosts "
            "use the JAX backend with `keras.distribution.initialize`; for several "
            "devices of one host use `tf.distribute.MirroredStrategy`."
        )


def train_step(model, data):
    """Runs `model.update`, which assigns the variables."""
    return model.update(data, tensorflow_replicas.strategy_replicas(model, data))


def test_step(model, data):
    """Runs `model.validate`."""
    return model.validate(data, tensorflow_replicas.strategy_replicas(model, data))


def forward(function, updates):
    """Runs a function without keeping activations for a backward pass."""
    with BranchScope(updates) as scope:
        outputs = function()
    return outputs, scope


def map_slices(function, slices):
    """Runs a function on each slice along the first axis and stacks the results."""
    if tf.executing_eagerly():
        count = len(tf.nest.flatten(slices)[0])
        results = [
            function(tf.nest.map_structure(lambda tensor, i=i: tensor[i], slices))
            for i in range(count)
        ]
        return tf.nest.map_structure(lambda *tensors: tf.stack(tensors), *results)
    # `tf.map_fn` needs the signature of the function's result in advance.
    traced = tf.function(function)
    first = tf.nest.map_structure(lambda tensor: tensor[0], slices)
    signature = traced.get_concrete_function(first).structured_outputs
    signature = tf.nest.map_structure(tf.TensorSpec.from_tensor, signature)
    return tf.map_fn(
        traced, slices, parallel_iterations=1, fn_output_signature=signature
    )


def pullback(model, function, inputs, updates, num_uses, per_output=False):
    """Runs a function forward; returns its outputs and its VJP.

    Each function has its own tape, so that the backward passes are independent.
    """
    variables = [variable.value for variable in model.trainable_variables]
    leaves = tf.nest.flatten(inputs)
    with tf.GradientTape(persistent=True) as tape, BranchScope(updates) as scope:
        tape.watch(leaves)
        outputs = function(inputs)
        added = scope.added_loss()
    vjp = _VJP(tape, variables, inputs, outputs, added)
    return outputs, vjp, scope.updates


class _VJP:
    """The VJP of a function that has run forward."""

    def __init__(self, tape, variables, inputs, outputs, added):
        self.tape = tape
        self.variables = variables
        self.inputs = inputs
        self.leaves = tf.nest.flatten(inputs)
        self.outputs = outputs
        self.added_loss = added

    def __call__(self, cotangents):
        return [self._of_one(cotangent) for cotangent in cotangents]

    def of_added_loss(self, cotangent, of_outputs=None):
        """Computes the gradients of the added loss and of given outputs."""
        pairs = [] if of_outputs is None else self._pairs(of_outputs)
        if self.added_loss is not None:
            pairs.append((self.added_loss, cotangent))
        return self._gradients(pairs)

    def _of_one(self, cotangent):
        return self._gradients(self._pairs(cotangent))

    def _pairs(self, cotangent):
        """Returns pairs of an output and its cotangent; a dict may lack outputs."""
        outputs = self.outputs
        if isinstance(outputs, dict) and isinstance(cotangent, dict):
            outputs = {name: outputs[name] for name in cotangent}
        flat = (tf.nest.flatten(outputs), tf.nest.flatten(cotangent))
        return list(zip(*flat, strict=True))

    def _gradients(self, pairs):
        gradients = self.tape.gradient(
            [output for output, _ in pairs],
            [*self.variables, *self.leaves],
            output_gradients=[x for _, x in pairs],
        )
        # Keras' Embedding gives `IndexedSlices`, which may repeat an index: its values
        # can't be squared before the repeats are added up.
        gradients = [None if g is None else tf.convert_to_tensor(g) for g in gradients]
        count = len(self.variables)
        of_leaves = [
            tf.zeros_like(leaf) if gradient is None else gradient
            for leaf, gradient in zip(self.leaves, gradients[count:], strict=True)
        ]
        of_inputs = tf.nest.pack_sequence_as(self.inputs, of_leaves)
        return gradients[:count], of_inputs


def pull_back_sum(vjps, cotangents):
    """Runs VJPs once, for the last time, and sums the gradients of the variables."""
    # In a compiled step, the compiler finds the sums that can be computed in place.
    return _gradient_lists.sum_of_vjps(vjps, cotangents)


def squared_norm(gradients):
    """Returns the squared norm of a gradient, a float32 scalar."""
    return _gradient_lists.squared_norm(gradients)


def value_and_cotangents(function, outputs):
    """Computes a scalar function of a nest of tensors, and its gradients."""
    # Copies, since one tensor may be two outputs, as in a joint head.
    leaves = [tf.identity(output) for output in tf.nest.flatten(outputs)]
    with tf.GradientTape() as tape:
        tape.watch(leaves)
        value = function(tf.nest.pack_sequence_as(outputs, leaves))
    cotangents = tape.gradient(
        value, leaves, unconnected_gradients=tf.UnconnectedGradients.ZERO
    )
    return value, tf.nest.pack_sequence_as(outputs, cotangents)


def apply_gradients(model, gradients, apply, replicas):
    """Updates the weights with the optimizer if `apply`, else changes nothing."""
    tensorflow_replicas.apply_gradients(
        model.optimizer, gradients, model.trainable_variables, apply, replicas
    )
