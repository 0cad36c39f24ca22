"""The PyTorch functions of the harmonized step; see `protocol.Backend`."""

import keras
import torch
from keras import tree

from keras_vatt.training._branch_scope import BranchScope
from keras_vatt.training._replicas import OneReplica


def check_devices():
    """Refuses several devices.

    Raises:
        ValueError: under a `keras.distribution`, or as one of several processes.
    """
    several = torch.distributed.is_available() and torch.distributed.is_initialized()
    several = several and torch.distributed.get_world_size() > 1
    if several or keras.distribution.distribution() is not None:
        raise ValueError(
            "On PyTorch, Keras 3 trains on one device: several processes would train "
            "independent models. For several devices use the JAX backend with "
            "`keras.distribution`, or TensorFlow with `tf.distribute.MirroredStrategy`."
        )


def train_step(model, data):
    """Runs `model.update`, which assigns the variables."""
    return model.update(data, OneReplica())


def test_step(model, data):
    """Runs `model.validate`."""
    with torch.no_grad():
        return model.validate(data, OneReplica())


def forward(function, updates):
    """Runs a function without keeping activations for a backward pass."""
    with torch.no_grad(), BranchScope(updates) as scope:
        outputs = function()
    return outputs, scope


def map_slices(function, slices):
    """Runs a function on each slice along the first axis and stacks the results."""
    count = len(tree.flatten(slices)[0])
    results = [
        function(tree.map_structure(lambda tensor, i=i: tensor[i], slices))
        for i in range(count)
    ]
    return tree.map_structure(lambda *tensors: torch.stack(tensors), *results)


def pullback(model, function, inputs, updates, num_uses):
    """Runs a function forward; returns its outputs and its VJP."""
    leaves = [tensor.detach().requires_grad_() for tensor in tree.flatten(inputs)]
    variables = [variable.value for variable in model.trainable_variables]
    with torch.enable_grad(), BranchScope(updates) as scope:
        outputs = function(tree.pack_sequence_as(inputs, leaves))
    flat_outputs = tree.flatten(outputs)
    # The outputs of a frozen branch depend on no trainable variable.
    is_frozen = not any(output.requires_grad for output in flat_outputs)
    uses_left = num_uses

    def vjp_of_one(cotangent, retain_graph):
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

    def vjp(cotangents):
        nonlocal uses_left
        uses_left -= 1
        # The last backward pass frees the activations.
        is_last = [False] * (len(cotangents) - 1) + [uses_left == 0]
        return [
            vjp_of_one(cotangent, retain_graph=not last)
            for cotangent, last in zip(cotangents, is_last, strict=True)
        ]

    detached = tree.map_structure(lambda output: output.detach(), outputs)
    return detached, vjp, scope.updates


def value_and_cotangents(function, outputs):
    """Computes a scalar function of a nest of tensors, and its gradients."""
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
    """Updates the weights with the optimizer if `apply`, else changes nothing."""
    if apply:
        with torch.no_grad():
            model.optimizer.apply(gradients, model.trainable_variables)
