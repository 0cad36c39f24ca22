"""What the harmonized step needs of PyTorch."""

import torch
from keras import tree


def train_step(model, data):
    """Runs `model.update`; PyTorch's variables keep their state themselves."""
    return model.update(data)


def pullback(model, branch, batch, num_uses):
    """Runs one branch forward; returns its outputs and the way back.

    Same contract as in `keras_vatt/training/jax.py`.
    """
    variables = [variable.value for variable in model.trainable_variables]
    with torch.enable_grad():
        outputs = branch(batch)
    flat_outputs = tree.flatten(outputs)
    uses_left = num_uses

    def walk_backward(cotangent, retain_graph):
        return torch.autograd.grad(
            flat_outputs,
            variables,
            grad_outputs=tree.flatten(cotangent),
            retain_graph=retain_graph,
            allow_unused=True,
        )

    def pull_back(cotangents):
        nonlocal uses_left
        uses_left -= 1
        # The last walk frees what the forward pass has kept.
        is_last = [False] * (len(cotangents) - 1) + [uses_left == 0]
        return [
            walk_backward(cotangent, retain_graph=not last)
            for cotangent, last in zip(cotangents, is_last, strict=True)
        ]

    detached = tree.map_structure(lambda output: output.detach(), outputs)
    return detached, pull_back


def value_and_cotangents(function, outputs):
    """Value of a scalar function of a nest of tensors, and its gradients."""
    leaves = tree.map_structure(
        lambda output: output.detach().requires_grad_(), outputs
    )
    with torch.enable_grad():
        value = function(leaves)
    flat_leaves = tree.flatten(leaves)
    cotangents = torch.autograd.grad(
        value, flat_leaves, allow_unused=True, materialize_grads=True
    )
    return value.detach(), tree.pack_sequence_as(outputs, cotangents)


def apply_gradients(model, gradients, apply):
    """Lets the optimizer take its step if `apply`, else changes nothing."""
    if apply:
        with torch.no_grad():
            model.optimizer.apply(gradients, model.trainable_variables)
