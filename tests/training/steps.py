"""What the tests of the training step share."""

import keras
import numpy as np
from keras import ops
from models.tiny import NO_RANDOMNESS, tiny_vatt


def values_of(variables):
    return [np.array(ops.convert_to_numpy(variable)) for variable in variables]


def flat(arrays):
    return np.concatenate([np.asarray(a, "float64").reshape(-1) for a in arrays])


def model_with(optimizer="sgd", seed=0, form="agnostic", dtype=None, **compile_args):
    """A tiny model without randomness, compiled; the seed decides its weights."""
    keras.utils.set_random_seed(seed)
    model = tiny_vatt(form, dtype=dtype, **NO_RANDOMNESS)
    model.compile(optimizer=optimizer, **compile_args)
    return model


def train(model, *batches):
    """Trains on batches one by one; returns the logs of the last."""
    for batch in batches:
        model.reset_metrics()
        logs = model.train_on_batch(batch, return_dict=True)
    return {name: float(value) for name, value in logs.items()}


def update_of(model, batch):
    """What plain SGD with rate 1 takes away: the gradient that was applied."""
    before = values_of(model.trainable_variables)
    train(model, batch)
    return flat(before) - flat(values_of(model.trainable_variables))


def loss_gradients(model, batch):
    """Gradient of each loss as weighted in the total, one forward pass each.

    An independent way: the whole model is called, and Keras' own losses of
    outputs are differentiated by the backend.
    """
    return [
        flat(_GRADIENTS[keras.config.backend()](model, batch, loss))
        for loss in model.branch_losses()
    ]


def _weighted(model, batch, loss):
    return loss.weight * ops.mean(loss.per_sample(model(batch, training=True), batch))


def _jax_gradient(model, batch, loss):
    import jax

    def of_weights(trainable):
        mapping = list(zip(model.trainable_variables, trainable, strict=True))
        with keras.StatelessScope(state_mapping=mapping):
            return _weighted(model, batch, loss)

    return jax.jit(jax.grad(of_weights))([v.value for v in model.trainable_variables])


def _tensorflow_gradient(model, batch, loss):
    import tensorflow as tf

    statistics = values_of(model.non_trainable_variables)
    with tf.GradientTape() as tape:
        value = _weighted(model, batch, loss)
    gradients = tape.gradient(
        value,
        [v.value for v in model.trainable_variables],
        unconnected_gradients=tf.UnconnectedGradients.ZERO,
    )
    _restore(model, statistics)
    return [tf.convert_to_tensor(gradient) for gradient in gradients]


def _torch_gradient(model, batch, loss):
    import torch

    statistics = values_of(model.non_trainable_variables)
    gradients = torch.autograd.grad(
        _weighted(model, batch, loss),
        [v.value for v in model.trainable_variables],
        allow_unused=True,
        materialize_grads=True,
    )
    _restore(model, statistics)
    return gradients


def _restore(model, statistics):
    for variable, value in zip(model.non_trainable_variables, statistics, strict=True):
        variable.assign(value)


_GRADIENTS = {
    "jax": _jax_gradient,
    "tensorflow": _tensorflow_gradient,
    "torch": _torch_gradient,
}
