"""What the harmonized step needs of TensorFlow."""

import keras
import tensorflow as tf

from keras_vatt.training._branch_scope import BranchScope
from keras_vatt.training.backends import tensorflow_replicas


def check_devices():
    """Refuses what can't train here.

    Raises:
        ValueError: under a `keras.distribution` or a strategy of several workers.
    """
    if keras.distribution.distribution() is not None:
        raise ValueError(
            "On TensorFlow, Keras has no `keras.distribution`. Use a "
            "`tf.distribute.MirroredStrategy` or `TPUStrategy`, or the JAX backend."
        )
    strategy = tf.distribute.get_strategy()
    if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        raise ValueError(
            "`fit` of Keras 3 fails under `MultiWorkerMirroredStrategy` "
            "(https://github.com/keras-team/keras/issues/20585). For several hosts "
            "use the JAX backend with `keras.distribution.initialize`; for several "
            "devices of one host `tf.distribute.MirroredStrategy`."
        )


def train_step(model, data):
    """Runs `model.update`; TensorFlow's variables keep their state themselves."""
    return model.update(data, tensorflow_replicas.strategy_replicas(model, data))


def test_step(model, data):
    """Runs `model.validate`."""
    return model.validate(data, tensorflow_replicas.strategy_replicas(model, data))


def forward(function, updates):
    """Runs a function without keeping what a walk backward would need.

    Same contract as in `keras_vatt/training/backends/jax.py`.
    """
    with BranchScope(updates) as scope:
        outputs = function()
    return outputs, scope


def map_slices(function, slices):
    """Runs a function on each slice along the first axis; stacks what it returns."""
    if tf.executing_eagerly():
        count = len(tf.nest.flatten(slices)[0])
        results = [
            function(tf.nest.map_structure(lambda tensor, i=i: tensor[i], slices))
            for i in range(count)
        ]
        return tf.nest.map_structure(lambda *tensors: tf.stack(tensors), *results)
    # The loop has to know beforehand what the function is going to return.
    traced = tf.function(function)
    first = tf.nest.map_structure(lambda tensor: tensor[0], slices)
    signature = traced.get_concrete_function(first).structured_outputs
    signature = tf.nest.map_structure(tf.TensorSpec.from_tensor, signature)
    return tf.map_fn(
        traced, slices, parallel_iterations=1, fn_output_signature=signature
    )


def pullback(model, function, inputs, updates, num_uses):
    """Runs a function forward; returns its outputs and its VJP.

    Same contract as in `jax.py` of this package. Each call has its own tape, so that
    the backward pass of one can't touch that of another.
    """
    variables = [variable.value for variable in model.trainable_variables]
    leaves = tf.nest.flatten(inputs)
    with tf.GradientTape(persistent=True) as tape, BranchScope(updates) as scope:
        tape.watch(leaves)
        outputs = function(inputs)
    flat_outputs = tf.nest.flatten(outputs)

    def walk_backward(cotangent):
        gradients = tape.gradient(
            flat_outputs,
            [*variables, *leaves],
            output_gradients=tf.nest.flatten(cotangent),
        )
        # Keras' Embedding gives `IndexedSlices`, whose values can't be summed or
        # squared before duplicate ids are.
        gradients = [None if g is None else tf.convert_to_tensor(g) for g in gradients]
        of_variables = gradients[: len(variables)]
        of_leaves = gradients[len(variables) :]
        return of_variables, tf.nest.pack_sequence_as(inputs, of_leaves)

    def pull_back(cotangents):
        return [walk_backward(cotangent) for cotangent in cotangents]

    return outputs, pull_back, scope.updates


def value_and_cotangents(function, outputs):
    """Value of a scalar function of a nest of tensors, and its gradients."""
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
    """Lets the optimizer take its step if `apply`, else changes nothing."""
    tensorflow_replicas.apply_gradients(
        model.optimizer, gradients, model.trainable_variables, apply, replicas
    )
