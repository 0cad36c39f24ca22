"""Losses that are added to the total and not harmonized.

They are those of weight regularizers, of activity regularizers and of `add_loss`.
"""

from typing import Any, NamedTuple

from keras import ops

from keras_vatt.training._gradient_lists import (
    is_nonfinite,
    squared_norm,
    sum_gradients,
)


class AddedLosses(NamedTuple):
    """The sum of the added losses of one step, and its gradient.

    Attributes:
        value: float32 scalar.
        gradients: list of tensors or `None`, one per trainable variable, times the
            loss scale; `None` if there are no such losses.
        nonfinite: float32 scalar, 1 if the gradient holds a NaN or an infinity.
    """

    value: Any
    gradients: list[Any] | None
    nonfinite: Any


def regularization_loss(variables):
    """Returns the sum of the weight regularizers of variables, a float32 scalar."""
    losses = [
        ops.sum(ops.cast(variable.regularizer(variable), "float32"))
        for variable in variables
        if variable.regularizer is not None
    ]
    return sum(losses, start=ops.zeros((), "float32"))


def added_losses(step):
    """Computes the `AddedLosses` of a step, after its forward pass.

    On several replicas, a loss that `encode` adds is the mean over the replicas, each
    of its own samples.

    Args:
        step: `HarmonizedStep`.

    Returns:
        `AddedLosses`.
    """
    parts = [_of_weights(step)]
    parts += [_of_branch(step, name) for name in step.outputs]
    value = sum((part[0] for part in parts), start=ops.zeros((), "float32"))
    gradients = [part[1] for part in parts if part[1] is not None]
    if not gradients:
        return AddedLosses(value, None, ops.zeros(()))
    gradients = sum_gradients(*gradients)
    return AddedLosses(value, gradients, is_nonfinite(squared_norm(gradients)))


def _of_weights(step):
    variables = step.model.trained_variables
    if all(variable.regularizer is None for variable in variables):
        return 0.0, None
    value, vjp, _ = step.backend.pullback(
        step.model, lambda _: regularization_loss(variables), {}, [], num_uses=1
    )
    ((gradients, _),) = vjp([step.loss_scale])
    return value, gradients


def _of_branch(step, name):
    """Returns the value and the gradient of what the layers of a branch add."""
    encode, embed = step.vjp_of_encode[name], step.vjp_of_embed[name]
    replicas = step.replicas
    value, gradients, of_features = 0.0, None, None
    if _adds_loss(embed):
        value = embed.added_loss
        gradients, of_features = embed.of_added_loss(step.loss_scale)
        of_features = replicas.own_rows(of_features)
    if _adds_loss(encode):
        part = 1 / replicas.num_replicas
        (of_replicas,) = replicas.sum_gradients([encode.added_loss * part])
        value = value + of_replicas
        of_encode, _ = encode.of_added_loss(step.loss_scale * part, of_features)
    elif of_features is not None:
        of_encode, _ = encode.of_added_loss(step.loss_scale, of_features)
    else:
        return value, gradients
    return value, sum_gradients(gradients, replicas.sum_gradients(of_encode))


def _adds_loss(vjp):
    return getattr(vjp, "added_loss", None) is not None
