"""What the harmonized step needs of JAX."""

import jax
import jax.numpy as jnp
import keras

from keras_vatt.training._branch_scope import BranchScope
from keras_vatt.training._replicas import OneReplica
from keras_vatt.training.backends.jax_replicas import mesh_replicas


def check_devices():
    """Refuses what can't train here: nothing, on JAX."""


def train_step(model, state, data):
    """Runs `model.update` on the variables' values that Keras passes in.

    Keras' JAX trainer hands all state to `train_step` and wants it back. In a
    `StatelessScope` the same code as on the other backends, which reads and
    assigns variables, becomes the pure function that `jax.jit` needs.

    Under a `keras.distribution` each replica runs it on its own slice of the batch,
    and what they exchange is said in so many words: left to itself, the compiler
    would sum the gradients of a shared encoder once for each branch.
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
    """What a function returns, and the state that it leaves, both from a state."""
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
    """Runs a function without keeping what a walk backward would need.

    Args:
        function: function without arguments that returns a nest of tensors.
        updates: list of pairs of a variable and the value that it has for the
            function, where that is not its current one.

    Returns:
        Tuple of what the function returns and the `BranchScope` it ran in.
    """
    with BranchScope(updates) as scope:
        outputs = function()
    return outputs, scope


def map_slices(function, slices):
    """Runs a function on each slice along the first axis; stacks what it returns."""
    return jax.lax.map(function, slices)


def pullback(model, function, inputs, updates, num_uses):
    """Runs a function forward; returns its outputs and the way back.

    No variable is changed.

    Args:
        model: the `HarmonizedModel`.
        function: function `inputs -> outputs`, nests of tensors.
        inputs: nest of float tensors, with respect to which there are gradients too;
            may be empty.
        updates: list of pairs of a variable and the value that it has for the
            function, where that is not its current one.
        num_uses: int. How many times `pull_back` is going to be called.

    Returns:
        Tuple `(outputs, pull_back, new_updates)`. `pull_back` takes a list of
        cotangents, each of the structure of `outputs`, and gives for each a pair: a
        list of gradients, one per trainable variable, `None` where there is none,
        and the gradients of `inputs`. `new_updates` are the variables that the
        function has assigned, with their new values.
    """
    trainable = model.trainable_variables
    seen = {}

    def stateless_function(trainable_values, inputs):
        mapping = [*updates, *zip(trainable, trainable_values, strict=True)]
        with BranchScope(mapping) as scope:
            outputs = function(inputs)
        seen["variables"] = [variable for variable, _ in scope.updates]
        seen["reached"] = scope.was_read(trainable)
        return outputs, [value for _, value in scope.updates]

    values = [variable.value for variable in trainable]
    outputs, vjp, new_values = jax.vjp(stateless_function, values, inputs, has_aux=True)

    def only_reached(gradients):
        reached = zip(gradients, seen["reached"], strict=True)
        return [gradient if is_reached else None for gradient, is_reached in reached]

    def pull_back(cotangents):
        if len(cotangents) == 1:
            pulled = [vjp(cotangents[0])]
        else:
            # One walk backward with stacked cotangents: larger matrix products, and
            # each activation is read once.
            stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *cotangents)
            pulled = jax.vmap(vjp)(stacked)
            pulled = [
                jax.tree.map(lambda leaf, index=index: leaf[index], pulled)
                for index in range(len(cotangents))
            ]
        return [(only_reached(gradients), inputs) for gradients, inputs in pulled]

    new_updates = list(zip(seen["variables"], new_values, strict=True))
    return outputs, pull_back, new_updates


def value_and_cotangents(function, outputs):
    """Value of a scalar function of a nest of tensors, and its gradients."""
    return jax.value_and_grad(function)(outputs)


def apply_gradients(model, gradients, apply, replicas):
    """Lets the optimizer take its step if `apply`, else changes nothing."""
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
