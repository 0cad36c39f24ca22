"""What the harmonized step needs of PyTorch."""

import keras
import torch
from keras import tree

from keras_vatt.training._branch_scope import BranchScope
from keras_vatt.training._replicas import OneReplica


def check_devices():
    """Refuses what can't train here.

    Raises:
        ValueError: under a `keras.distribution`, or as one of several processes.
    """
    several = torch.distributed.is_available() and torch.distributed.is_initialized()
    several = several and torch.distributed.get_world_size() > 1
    if several or keras.distribution.distribution() is not None:
        raise ValueError(
            "On PyTorch, Keras 3 trains on one device: each process would go its own "
            "way. Use the JAX backend with `keras.distribution`, or TensorFlow with "
            "`tf.distribute.MirroredStrategy`, for several."
        )


def train_step(model, data):
    """Runs `model.update`; PyTorch's variables keep their state themselves."""
    return model.update(data, OneReplica())


def test_step(model, data):
    """Runs `model.validate`."""
    with torch.no_grad():
        return model.validate(data, OneReplica())


def forward(function, updates):
    """Runs a function without keeping what a walk backward would need.

    Same contract as in `keras_vatt/training/backends/jax.py`.
    """
    with torch.no_grad(), BranchScope(updates) as scope:
        outputs = function()
    return outputs, scope


def map_slices(function, slices):
    """Runs a function on each slice along the first axis; stacks what it returns."""
    count = len(tree.flatten(slices)[0])
    results = [
        function(tree.map_structure(lambda tensor, i=i: tensor[i], slices))
        for i in range(count)
    ]
    return tree.map_structure(lambda *tensors: torch.stack(tensors), *results)


def pullback(model, function, inputs, updates, num_uses):
    """Runs a function forward; returns its outputs and the way back.

    Same contract as in `keras_vatt/training/backends/jax.py`.
    """
    leaves = [tensor.detach().requires_grad_() for tensor in tree.flatten(inputs)]
    variables = [variable.value for variable in model.trainable_variables]
    with torch.enable_grad(), BranchScope(updates) as scope:
        outputs = function(tree.pack_sequence_as(inputs, leaves))
    flat_outputs = tree.flatten(outputs)
    # Nothing that is trainable reaches the outputs of a frozen branch.
    is_frozen = not any(output.requires_grad for output in flat_outputs)
    uses_left = num_uses

    def walk_backward(cotangent, retain_graph):
        if is_frozen:
            return [None] * len(variables), None
        gradients = torch.autograd.grad(
            flat_outputs,
            [*variables, *leaves],
            grad_outputs=tree.flatten(cotangent),
            retain_graph=retain_graph,
            allow_unused=True,
        )
        of_variables = list(gradients[: len(variables)])
        of_leaves = list(gradients[len(variables) :])
        return of_variables, tree.pack_sequence_as(inputs, of_leaves)

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
    return detached, pull_back, scope.updates


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


def apply_gradients(model, gradients, apply, replicas):
    """Lets the optimizer take its step if `apply`, else changes nothing."""
    if apply:
        with torch.no_grad():
            model.optimizer.apply(gradients, model.trainable_variables)
