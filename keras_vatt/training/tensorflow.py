"""What the harmonized step needs of TensorFlow."""

import tensorflow as tf


def train_step(model, data):
    """Runs `model.update`; TensorFlow's variables keep their state themselves."""
    return model.update(data)


def pullback(model, branch, batch, num_uses):
    """Runs one branch forward; returns its outputs and the way back.

    Same contract as in `keras_vatt/training/jax.py`. A branch has a tape of its
    own, so that walking it backward can't touch another one.
    """
    variables = [variable.value for variable in model.trainable_variables]
    with tf.GradientTape(persistent=True) as tape:
        outputs = branch(batch)
    flat_outputs = tf.nest.flatten(outputs)

    def pull_back(cotangents):
        return [
            [
                # Keras' Embedding gives `IndexedSlices`, whose values can't be
                # summed or squared before duplicate ids are.
                None if gradient is None else tf.convert_to_tensor(gradient)
                for gradient in tape.gradient(
                    flat_outputs, variables, output_gradients=tf.nest.flatten(cotangent)
                )
            ]
            for cotangent in cotangents
        ]

    return outputs, pull_back


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


def apply_gradients(model, gradients, apply):
    """Lets the optimizer take its step if `apply`, else changes nothing."""

    def step():
        model.optimizer.apply(gradients, model.trainable_variables)

    tf.cond(apply, step, lambda: None)
