"""Helpers of the tests of the training step."""

import keras
import numpy as np
from keras import ops

from tests.models.tiny import NO_RANDOMNESS, tiny_vatt


def values_of(variables):
    return [np.array(ops.convert_to_numpy(variable)) for variable in variables]


def flat(arrays):
    return np.concatenate([np.asarray(a, "float64").reshape(-1) for a in arrays])


def model_with(
    optimizer="sgd",
    seed=0,
    form="flat",
    dtype=None,
    model_args=NO_RANDOMNESS,
    **compile_args,
):
    """A tiny model, without randomness, compiled; the seed decides its weights.

    It has no transformer unless `form` is `"agnostic"` or `"specific"`.

    TensorFlow runs eagerly unless told otherwise: tracing takes longer than the
    few steps of a test.
    """
    keras.utils.set_random_seed(seed)
    model = tiny_vatt(form, dtype=dtype, **model_args)
    compile_args.setdefault("run_eagerly", keras.config.backend() == "tensorflow")
    model.compile(optimizer=optimizer, **compile_args)
    return model


def train(model, *batches):
    """Trains on batches one by one; returns the logs of the last."""
    for batch in batches:
        model.reset_metrics()
        logs = model.train_on_batch(batch, return_dict=True)
    return {name: float(value) for name, value in logs.items()}


def update_of(model, batch):
    """Returns the applied gradient: the change of weights by SGD with rate 1."""
    before = values_of(model.trainable_variables)
    train(model, batch)
    return flat(before) - flat(values_of(model.trainable_variables))


def loss_gradients(model, batch):
    """Gradient of each loss as weighted in the total, each by a forward pass.

    An independent way: the whole model is called, and the losses of its outputs
    are differentiated by the backend.
    """
    (gradients,) = group_gradients(model, batch, [np.ones(len(batch["video"]))])
    return gradients


def group_gradients(model, batch, groups):
    """Like `loss_gradients`, for the terms of some samples at a time.

    Args:
        groups: list of arrays of shape `(batch_size,)`, 1 for the samples whose
            terms count and 0 for the others.

    Returns:
        For each group a list of flat gradients, one for each loss.
    """
    per_group = _GRADIENTS[keras.config.backend()](model, batch, groups)
    return [[flat(gradient) for gradient in gradients] for gradients in per_group]


def sample_group_gradients(model, batch, groups):
    """Like `group_gradients`, for what reaches the model through some samples.

    For the backbone: the gradient of the whole losses, the features of other samples
    being constants. For the bridge head: that of the own samples' terms.
    """
    head_ids = {id(variable) for variable in model.bridge_head.trainable_variables}
    in_head = np.concatenate(
        [
            np.full(int(np.prod(v.shape)), id(v) in head_ids)
            for v in model.trainable_variables
        ]
    )
    whole = np.ones(len(batch["video"]))
    per_group = []
    for group in groups:
        (of_terms,) = group_gradients(model, batch, [group])
        through = {"live_samples": np.asarray(group, "float32")}
        (through_samples,) = group_gradients(model, batch | through, [whole])
        per_group.append(
            [
                np.where(in_head, own_terms, own_samples)
                for own_terms, own_samples in zip(
                    of_terms, through_samples, strict=True
                )
            ]
        )
    return per_group


def _selected_losses(model, batch, group):
    """The losses as weighted in the total, each from a forward pass of its own."""
    group = ops.convert_to_tensor(group, "float32")
    for loss in model.branch_losses():
        terms = loss.per_sample(_outputs(model, batch), batch)
        yield loss.weight * ops.mean(terms * group)


def _outputs(model, batch):
    """Embeddings in training mode, some samples' features being constants."""
    live = batch.get("live_samples")
    if live is None:
        return model(batch, training=True)
    features = model.backbone(batch, training=True)
    pooled = {}
    for modality, outputs in features.items():
        own = outputs["features_pooled"]
        rows = ops.repeat(ops.convert_to_tensor(live), own.shape[0] // live.shape[0])
        constant = ops.stop_gradient(own)
        pooled[modality] = ops.where(rows[:, None] > 0, own, constant)
    return model.bridge_head(pooled, training=True)


def _jax_gradients(model, batch, groups):
    import jax

    trainable, others = model.trainable_variables, model.non_trainable_variables

    def losses(trainable_values, other_values, batch, group):
        mapping = [
            *zip(trainable, trainable_values, strict=True),
            *zip(others, other_values, strict=True),
        ]
        with keras.StatelessScope(state_mapping=mapping):
            return list(_selected_losses(model, batch, group))

    jacobian = jax.jit(jax.jacrev(losses))
    values = [[v.value for v in variables] for variables in (trainable, others)]
    batch = {name: jax.numpy.asarray(value) for name, value in batch.items()}
    return [jacobian(*values, batch, np.asarray(g, "float32")) for g in groups]


def _tensorflow_gradients(model, batch, groups):
    import tensorflow as tf

    statistics = values_of(model.non_trainable_variables)
    variables = [variable.value for variable in model.trainable_variables]
    per_group = []
    for group in groups:
        with tf.GradientTape(persistent=True) as tape:
            losses = list(_selected_losses(model, batch, group))
        gradients = [
            tape.gradient(
                loss, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO
            )
            for loss in losses
        ]
        per_group.append([[tf.convert_to_tensor(g) for g in gs] for gs in gradients])
    _restore(model, statistics)
    return per_group


def _torch_gradients(model, batch, groups):
    import torch

    statistics = values_of(model.non_trainable_variables)
    variables = [variable.value for variable in model.trainable_variables]
    per_group = [
        [
            torch.autograd.grad(
                loss, variables, allow_unused=True, materialize_grads=True
            )
            for loss in _selected_losses(model, batch, group)
        ]
        for group in groups
    ]
    _restore(model, statistics)
    return per_group


def _restore(model, statistics):
    for variable, value in zip(model.non_trainable_variables, statistics, strict=True):
        variable.assign(value)


_GRADIENTS = {
    "jax": _jax_gradients,
    "tensorflow": _tensorflow_gradients,
    "torch": _torch_gradients,
}
