"""The JAX functions of the harmonized step; see `protocol.Backend`."""

import jax
import jax.numpy as jnp
import keras

from keras_vatt.training import _gradient_lists
from keras_vatt.training._branch_scope import BranchScope
from keras_vatt.training._replicas import OneReplica
from keras_vatt.training.backends.jax_replicas import mesh_replicas


def check_devices():
    """Accepts all devices."""


def train_step(model, state, data):
    """Runs `model.update` on the variables' values that Keras passes in.

    Keras' JAX trainer passes all state to `train_step` and expects the new state
    back. A `StatelessScope` turns the code of the other backends, which reads and
    assigns variables, into the pure function that `jax.jit` needs.

    Under a `keras.distribution` each replica runs it on its own slice of the batch
    with explicit collectives: without them, the compiler would sum the gradients of a
    shared encoder once per branch.
    """
    replicas = mesh_replicas(model)
    if replicas is None:
        return _stateless_update(model, state, data, OneReplica())

    def replica_step(state, data):
        return _stateless_update(model, state, data, replicas)

    whole, rows = jax.P(), jax.P(replicas.axes)
    return jax.shard_map(
        replica_step,
        mesh=replicas.mesh,
        in_specs=(whole, rows),
        out_specs=(whole, whole),
        axis_names=set(replicas.axes),
        check_vma=False,
    )(state, data)


def test_step(model, state, data):
    """Runs `model.validate` on the variables' values that Keras passes in."""
    variables = [
        model.trainable_variables,
        model.non_trainable_variables,
        model.metrics_variables,
    ]
    return _stateless(lambda: model.validate(data, OneReplica()), variables, state)


def _stateless_update(model, state, data, replicas):
    variables = [
        model.trainable_variables,
        model.non_trainable_variables,
        model.optimizer.variables,
        model.metrics_variables,
    ]
    return _stateless(lambda: model.update(data, replicas), variables, state)


def _stateless(function, variables, state):
    """Returns the result of a function and the state after it, from a given state."""
    mapping = [
        pair
        for group, values in zip(variables, state, strict=True)
        for pair in zip(group, values, strict=True)
    ]
    with keras.StatelessScope(state_mapping=mapping) as scope:
        logs = function()
    new_state = tuple(
        [scope.get_current_value(variable) for variable in group] for group in variables
    )
    return logs, new_state


def forward(function, updates):
    """Runs a function without keeping activations for a backward pass."""
    with BranchScope(updates) as scope:
        outputs = function()
    return outputs, scope


def map_slices(function, slices):
    """Runs a function on each slice along the first axis and stacks the results."""
    return jax.lax.map(function, slices)


def pullback(model, function, inputs, updates, num_uses, per_output=False):
    """Runs a function forward; returns its outputs and its VJP."""
    trainable = model.trainable_variables
    seen = {}

    def stateless_function(trainable_values, inputs):
        mapping = [*updates, *zip(trainable, trainable_values, strict=True)]
        with BranchScope(mapping) as scope:
            outputs = function(inputs)
            added = scope.added_loss()
        seen["variables"] = [variable for variable, _ in scope.updates]
        seen["reached"] = scope.was_read(trainable)
        return (outputs, added), [value for _, value in scope.updates]

    values = [variable.value for variable in trainable]
    differentiate = _linearize if per_output else jax.vjp
    (outputs, added), vjp_of_one, new_values = differentiate(
        stateless_function, values, inputs, has_aux=True
    )
    vjp = _VJP(vjp_of_one, outputs, added, seen["reached"], per_output)
    new_updates = list(zip(seen["variables"], new_values, strict=True))
    return outputs, vjp, new_updates


def _linearize(function, *inputs, has_aux):
    """Like `jax.vjp` for a function that returns a tuple of a dict and a scalar.

    The VJP transposes the part of the program that the given cotangents need: it takes
    dicts with some of the keys, and does not visit what other outputs depend on.
    """
    outputs, tangents_of, aux = jax.linearize(function, *inputs, has_aux=has_aux)

    def vjp_of_one(cotangents):
        of_outputs, of_added = cotangents

        def selected(*tangents):
            outputs, added = tangents_of(*tangents)
            outputs = {name: outputs[name] for name in of_outputs}
            return outputs, None if of_added is None else added

        gradients, of_inputs = jax.linear_transpose(selected, *inputs)(cotangents)
        reached = _reached(selected, inputs)[: len(gradients)]
        pairs = zip(gradients, reached, strict=True)
        return [x if is_reached else None for x, is_reached in pairs], of_inputs

    return outputs, vjp_of_one, aux


def _reached(function, inputs):
    """Returns for each leaf of the inputs whether a result depends on it, bools."""
    program = jax.make_jaxpr(function)(*inputs).jaxpr
    needed = set(map(id, program.outvars))
    for equation in reversed(program.eqns):
        if needed.intersection(map(id, equation.outvars)):
            needed.update(map(id, equation.invars))
    return [id(variable) in needed for variable in program.invars]


class _VJP:
    """The VJP of a function that has run forward."""

    def __init__(self, vjp_of_one, outputs, added, reached, per_output):
        self.vjp_of_one = vjp_of_one
        self.outputs = outputs
        self.added_loss = added
        self.reached = reached
        self.per_output = per_output

    def __call__(self, cotangents):
        if len(cotangents) == 1 or self.per_output:
            return [self._of_one(cotangent) for cotangent in cotangents]
        # One backward pass with stacked cotangents: larger matrix products, and
        # each activation is read once.
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *cotangents)
        pulled = jax.vmap(self._of_one)(stacked)
        return [
            jax.tree.map(lambda leaf, index=index: leaf[index], pulled)
            for index in range(len(cotangents))
        ]

    def of_added_loss(self, cotangent, of_outputs=None):
        """Computes the gradients of the added loss and of given outputs."""
        if of_outputs is None:
            of_outputs = {}
            if not self.per_output:
                of_outputs = jax.tree.map(jnp.zeros_like, self.outputs)
        return self._of_one(of_outputs, cotangent)

    def _of_one(self, of_outputs, of_added=None):
        if self.added_loss is None:
            of_added = None
        elif of_added is None and not self.per_output:
            of_added = jnp.zeros_like(self.added_loss)
        gradients, of_inputs = self.vjp_of_one((of_outputs, of_added))
        reached = zip(gradients, self.reached, strict=True)
        return [
            gradient if is_reached else None for gradient, is_reached in reached
        ], of_inputs


def pull_back_sum(vjps, cotangents):
    """Runs VJPs once, for the last time, and sums the gradients of the variables."""
    # In a compiled step, the compiler finds the sums that can be computed in place.
    return _gradient_lists.sum_of_vjps(vjps, cotangents)


def squared_norm(gradients):
    """Returns the squared norm of a gradient, a float32 scalar."""
    return _gradient_lists.squared_norm(gradients)


def value_and_cotangents(function, outputs):
    """Computes a scalar function of a nest of tensors, and its gradients."""
    return jax.value_and_grad(function)(outputs)


def apply_gradients(model, gradients, apply, replicas):
    """Updates the weights with the optimizer if `apply`, else changes nothing."""
    optimizer = model.optimizer
    variables = [model.trainable_variables, optimizer.variables]
    values = tuple([variable.value for variable in group] for group in variables)

    def step(trainable_values, optimizer_values):
        return optimizer.stateless_apply(optimizer_values, gradients, trainable_values)

    def skip(trainable_values, optimizer_values):
        return trainable_values, optimizer_values

    new_values = jax.lax.cond(apply, step, skip, *values)
    for group, new_group in zip(variables, new_values, strict=True):
        for variable, value in zip(group, new_group, strict=True):
            variable.assign(value)
