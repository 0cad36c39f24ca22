"""The PyTorch functions of the harmonized step; see `protocol.Backend`."""

import keras
import torch
from keras import tree

from keras_vatt.training._branch_scope import BranchScope
from keras_vatt.training._gradient_lists import sum_of_vjps
from keras_vatt.training._replicas import OneReplica
from keras_vatt.training.backends.torch_adam import fused_adam


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
    with torch.enable_grad(), BranchScope(updates) as scope:
        outputs = function(tree.pack_sequence_as(inputs, leaves))
    detached = tree.map_structure(lambda output: output.detach(), outputs)
    return detached, _VJP(model, inputs, leaves, outputs, num_uses), scope.updates


class _VJP:
    """The VJP of a function that has run forward."""

    def __init__(self, model, inputs, leaves, outputs, num_uses):
        self.variables = [variable.value for variable in model.trained_variables]
        self.inputs = inputs
        self.leaves = leaves
        self.outputs = tree.flatten(outputs)
        self.uses_left = num_uses

    def __call__(self, cotangents):
        self.uses_left -= 1
        # The last backward pass frees the activations.
        is_last = [False] * (len(cotangents) - 1) + [self.uses_left == 0]
        return [
            self._of_one(cotangent, retain_graph=not last)
            for cotangent, last in zip(cotangents, is_last, strict=True)
        ]

    def _of_one(self, cotangent, retain_graph):
        if self.is_frozen:
            return [None] * len(self.variables), None
        gradients = torch.autograd.grad(
            self.outputs,
            [*self.variables, *self.leaves],
            grad_outputs=tree.flatten(cotangent),
            retain_graph=retain_graph,
            allow_unused=True,
        )
        of_variables = list(gradients[: len(self.variables)])
        of_leaves = list(gradients[len(self.variables) :])
        return of_variables, tree.pack_sequence_as(self.inputs, of_leaves)

    @property
    def is_frozen(self):
        """Returns whether the outputs depend on no trainable variable."""
        return not any(output.requires_grad for output in self.outputs)


def pull_back_sum(vjps, cotangents):
    """Runs VJPs once, for the last time, and sums the gradients of the variables."""
    if not all(isinstance(vjp, _VJP) for vjp in vjps.values()):
        return sum_of_vjps(vjps, cotangents)
    trained = {name: vjp for name, vjp in vjps.items() if not vjp.is_frozen}
    of_inputs = dict.fromkeys(vjps)
    variables = next(iter(vjps.values())).variables
    if not trained:
        return [None] * len(variables), of_inputs
    # One backward pass through all branches: PyTorch sums in place.
    gradients = torch.autograd.grad(
        [output for vjp in trained.values() for output in vjp.outputs],
        [*variables, *(leaf for vjp in trained.values() for leaf in vjp.leaves)],
        grad_outputs=[x for name in trained for x in tree.flatten(cotangents[name])],
        allow_unused=True,
    )
    of_leaves = iter(gradients[len(variables) :])
    for name, vjp in trained.items():
        own = [next(of_leaves) for _ in vjp.leaves]
        of_inputs[name] = tree.pack_sequence_as(vjp.inputs, own)
    return list(gradients[: len(variables)]), of_inputs


def squared_norm(gradients):
    """Returns the squared norm of a gradient, a float32 scalar."""
    norms = torch._foreach_norm([gradient.float() for gradient in gradients])
    return torch.stack(norms).square().sum()


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
        with torch.no_grad(), fused_adam(model.optimizer):
            model.optimizer.apply(gradients, model.trained_variables)
