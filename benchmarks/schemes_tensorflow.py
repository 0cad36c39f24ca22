"""Training steps on TensorFlow, compiled by XLA: the library's and others."""

import functools

import keras
import tensorflow as tf
from keras import ops
from scheme import Scheme, branch_loss_value, losses_by_hand, realigned

# The choice of `jit_compile="auto"` in `keras.Model.compile`.
_compiled = functools.partial(tf.function, jit_compile=True, autograph=False)


def train_step(model, batch):
    """Returns the model's own train step."""
    batch = _tensors(batch)
    step = _compiled(model.train_step)

    def gradients():
        return [ops.convert_to_numpy(kept) for kept in model.optimizer.kept]

    return Scheme(lambda: step(batch), gradients)


def hand_written(model, batch, adam):
    """Returns the plain step of a user: a tape, XLA and maybe Adam."""
    batch = _tensors(batch)
    variables = model.trainable_variables
    optimizer = keras.optimizers.Adam()
    optimizer.build(variables)

    @_compiled
    def step(batch):
        with tf.GradientTape() as tape:
            loss = sum(losses_by_hand(model, batch))
        gradients = tape.gradient(loss, [variable.value for variable in variables])
        if not adam:
            return _dense(gradients)
        optimizer.apply(gradients, variables)
        return loss

    return Scheme(lambda: step(batch)) if adam else _scheme(lambda: step(batch))


def rivals(model, batch):
    """Returns other ways to the harmonized gradient, as functions by name."""
    batch = _tensors(batch)
    makers = {
        "naive two passes": _two_passes,
        "hand-written harmonized": _two_gradients,
    }
    return {
        name: lambda make=make: _scheme(make(model, batch))
        for name, make in makers.items()
    }


def _tensors(batch):
    return {name: tf.convert_to_tensor(value) for name, value in batch.items()}


def _scheme(step):
    def gradients():
        return [ops.convert_to_numpy(gradient) for gradient in step()]

    return Scheme(step, gradients)


def _two_passes(model, batch):
    """Runs a separate forward pass and program for each loss and its two modalities."""
    variables = [variable.value for variable in model.trainable_variables]

    def gradient(index, batch):
        branches = model.branches()
        with tf.GradientTape() as tape:
            names = model.branch_losses()[index].branches
            outputs = {name: branches[name](batch) for name in names}
            loss = branch_loss_value(model, index, outputs, batch)
        return _dense(tape.gradient(loss, variables))

    first, second = (_compiled(functools.partial(gradient, k)) for k in (0, 1))
    combine = _compiled(realigned)
    return lambda: combine([first(batch), second(batch)])


def _two_gradients(model, batch):
    """Runs one forward pass with a persistent tape, then one gradient per loss."""
    variables = [variable.value for variable in model.trainable_variables]

    @_compiled
    def step(batch):
        with tf.GradientTape(persistent=True) as tape:
            outputs = {name: branch(batch) for name, branch in model.branches().items()}
            losses = [branch_loss_value(model, k, outputs, batch) for k in (0, 1)]
        return realigned([_dense(tape.gradient(loss, variables)) for loss in losses])

    return lambda: step(batch)


def _dense(gradients):
    return [None if g is None else tf.convert_to_tensor(g) for g in gradients]
