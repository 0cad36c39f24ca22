"""What the harmonized step needs of JAX."""

import jax
import jax.numpy as jnp
import keras


def train_step(model, state, data):
    """Runs `model.update` on the variables' values that Keras passes in.

    Keras' JAX trainer hands all state to `train_step` and wants it back. In a
    `StatelessScope` the same code as on the other backends, which reads and
    assigns variables, becomes the pure function that `jax.jit` needs.
    """
    variables = [
        model.trainable_variables,
        model.non_trainable_variables,
        model.optimizer.variables,
        model.metrics_variables,
    ]
    mapping = [
        pair
        for group, values in zip(variables, state, strict=True)
        for pair in zip(group, values, strict=True)
    ]
    with keras.StatelessScope(state_mapping=mapping) as scope:
        logs = model.update(data)
    new_state = tuple(
        [scope.get_current_value(variable) for variable in group] for group in variables
    )
    return logs, new_state


def pullback(model, branch, batch, num_uses):
    """Runs one branch forward; returns its outputs and the way back.

    Args:
        model: the `HarmonizedModel`.
        branch: function `batch -> outputs`, a nest of tensors.
        batch: dict of tensors.
        num_uses: int. How many times `pull_back` is going to be called.

    Returns:
        Tuple `(outputs, pull_back)`; `pull_back` takes a list of cotangents,
        each of the structure of `outputs`, and gives for each a list of
        gradients, one per trainable variable, `None` where there is none.
    """
    trainable = model.trainable_variables
    stateful = model.non_trainable_variables
    stateful_values = [variable.value for variable in stateful]

    def stateless_branch(trainable_values):
        mapping = [
            *zip(trainable, trainable_values, strict=True),
            *zip(stateful, stateful_values, strict=True),
        ]
        with keras.StatelessScope(state_mapping=mapping) as scope:
            outputs = branch(batch)
        return outputs, [scope.get_current_value(variable) for variable in stateful]

    outputs, vjp, new_values = jax.vjp(
        stateless_branch, [variable.value for variable in trainable], has_aux=True
    )
    for variable, value in zip(stateful, new_values, strict=True):
        variable.assign(value)

    def pull_back(cotangents):
        if len(cotangents) == 1:
            return [vjp(cotangents[0])[0]]
        # One walk backward with stacked cotangents: larger matrix products, and
        # each activation is read once.
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *cotangents)
        (gradients,) = jax.vmap(vjp)(stacked)
        return [
            [gradient[index] for gradient in gradients]
            for index in range(len(cotangents))
        ]

    return outputs, pull_back


def value_and_cotangents(function, outputs):
    """Value of a scalar function of a nest of tensors, and its gradients."""
    return jax.value_and_grad(function)(outputs)


def apply_gradients(model, gradients, apply):
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
