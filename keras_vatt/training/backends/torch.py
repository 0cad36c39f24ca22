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


def pullback(model, function, inputs, updates, num_uses, per_output=False):
    """Runs a function forward; returns its outputs and its VJP."""
    leaves = [tensor.detach().requires_grad_() for tensor in tree.flatten(inputs)]
    with torch.enable_grad(), BranchScope(updates) as scope:
        outputs = function(tree.pack_sequence_as(inputs, leaves))
        added = scope.added_loss()
    detached = tree.map_structure(lambda output: output.detach(), outputs)
    vjp = _VJP(model, inputs, leaves, outputs, added, num_uses)
    return detached, vjp, scope.updates


class _VJP:
    """The VJP of a function that has run forward."""

    def __init__(self, model, inputs, leaves, outputs, added, num_uses):
        self.variables = [variable.value for variable in model.trained_variables]
        self.inputs = inputs
        self.leaves = leaves
        self.outputs = outputs
        self.added = added
        self.added_loss = None if added is None else added.detach()
        self.uses_left = num_uses

    def __call__(self, cotangents):
        self.uses_left -= 1
        # The last backward pass frees the activations.
        is_last = [False] * (len(cotangents) - 1) + [self.uses_left == 0]
        return [
            self._of_one(cotangent, retain_graph=not last)
            for cotangent, last in zip(cotangents, is_last, strict=True)
        ]

    def of_added_loss(self, cotangent, of_outputs=None):
        """Computes the gradients of the added loss and of given outputs."""
        outputs, cotangents = ([], []) if of_outputs is None else self.pairs(of_outputs)
        if self.added is not None and self.added.requires_grad:
            outputs, cotangents = [*outputs, self.added], [*cotangents, cotangent]
        return self._gradients(outputs, cotangents, retain_graph=True)

    def _of_one(self, cotangent, retain_graph):
        return self._gradients(*self.pairs(cotangent), retain_graph)

    def _gradients(self, outputs, cotangents, retain_graph):
        if not outputs:
            return [None] * len(self.variables), self.of_inputs(
                [None] * len(self.leaves)
            )
        gradients = torch.autograd.grad(
            outputs,
            [*self.variables, *self.leaves],
            grad_outputs=cotangents,
            retain_graph=retain_graph,
            allow_unused=True,
        )
        of_variables = list(gradients[: len(self.variables)])
        return of_variables, self.of_inputs(gradients[len(self.variables) :])

    def of_inputs(self, gradients):
        """Packs the gradients of the inputs; zeros in place of `None`."""
        gradients = [
            torch.zeros_like(leaf) if gradient is None else gradient
            for leaf, gradient in zip(self.leaves, gradients, strict=True)
        ]
        return tree.pack_sequence_as(self.inputs, gradients)

    def pairs(self, cotangent):
        """Returns lists of the outputs with a gradient, and of their cotangents.

        A dict of cotangents may lack some outputs.
        """
        outputs = self.outputs
        if isinstance(outputs, dict) and isinstance(cotangent, dict):
            outputs = {name: outputs[name] for name in cotangent}
        pairs = zip(tree.flatten(outputs), tree.flatten(cotangent), strict=True)
        pairs = [(output, x) for output, x in pairs if output.requires_grad]
        return [output for output, _ in pairs], [x for _, x in pairs]


def pull_back_sum(vjps, cotangents):
    """Runs VJPs once, for the last time, and sums the gradients of the variables."""
    if not all(isinstance(vjp, _VJP) for vjp in vjps.values()):
        return sum_of_vjps(vjps, cotangents)
    pairs = {name: vjp.pairs(cotangents[name]) for name, vjp in vjps.items()}
    outputs = [output for own, _ in pairs.values() for output in own]
    variables = next(iter(vjps.values())).variables
    leaves = [leaf for vjp in vjps.values() for leaf in vjp.leaves]
    gradients = [None] * (len(variables) + len(leaves))
    if outputs:
        # One backward pass through all branches: PyTorch sums in place.
        gradients = torch.autograd.grad(
            outputs,
            [*variables, *leaves],
            grad_outputs=[x for _, own in pairs.values() for x in own],
            allow_unused=True,
        )
    of_leaves = iter(gradients[len(variables) :])
    of_inputs = {
        name: vjp.of_inputs([next(of_leaves) for _ in vjp.leaves])
        for name, vjp in vjps.items()
    }
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
    if not value.requires_grad:  # A loss that depends on none of the outputs.
        return value, tree.map_structure(torch.zeros_like, outputs)
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
