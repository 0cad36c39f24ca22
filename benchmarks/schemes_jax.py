"""Training steps on JAX: the library's and others."""

import functools

import jax
import keras
import numpy as np
from scheme import Scheme, branch_loss_value, losses_by_hand, realigned


def train_step(model, batch):
    """Returns the model's own train step, compiled and called as in Keras's trainer."""
    variables = [
        model.trainable_variables,
        model.non_trainable_variables,
        model.optimizer.variables,
        model.metrics_variables,
    ]
    # Copies, because the step donates the memory of its arguments.
    state = tuple(
        [jax.numpy.copy(variable.value) for variable in group] for group in variables
    )
    step = jax.jit(model.train_step, donate_argnums=0).lower(state, batch).compile()

    def run():
        nonlocal state
        _, state = jax.block_until_ready(step(state, batch))

    def gradients():
        values = {id(v): x for v, x in zip(variables[2], state[2], strict=True)}
        return [np.asarray(values[id(kept)]) for kept in model.optimizer.kept]

    return Scheme(run, gradients, _temporary_bytes(step))


def hand_written(model, batch, adam):
    """Returns the plain step of a user: `value_and_grad`, `jit` and maybe Adam."""
    optimizer = keras.optimizers.Adam()
    optimizer.build(model.trainable_variables)

    def loss_value(trainable_values, other_values, batch):
        mapping = [
            *zip(model.trainable_variables, trainable_values, strict=True),
            *zip(model.non_trainable_variables, other_values, strict=True),
        ]
        with keras.StatelessScope(state_mapping=mapping) as scope:
            loss = sum(losses_by_hand(model, batch))
        others = model.non_trainable_variables
        return loss, [scope.get_current_value(variable) for variable in others]

    @functools.partial(jax.jit, donate_argnums=0)
    def step(state, batch):
        trainable, others, moments = state
        gradient = jax.value_and_grad(loss_value, has_aux=True)
        (loss, others), gradients = gradient(trainable, others, batch)
        if not adam:
            return (loss, gradients), (trainable, others, moments)
        trainable, moments = optimizer.stateless_apply(moments, gradients, trainable)
        return (loss, None), (trainable, others, moments)

    state = (*_values(model), [variable.value for variable in optimizer.variables])
    state = jax.tree.map(jax.numpy.copy, state)  # The step donates it.
    step = step.lower(state, batch).compile()

    def run():
        nonlocal state
        outputs, state = jax.block_until_ready(step(state, batch))
        return outputs

    gradients = None if adam else lambda: _arrays(run()[1])
    return Scheme(run, gradients, _temporary_bytes(step))


def rivals(model, batch):
    """Returns other ways to the harmonized gradient, as functions by name."""
    return {
        "naive two passes": lambda: _two_passes(model, batch),
        "hand-written harmonized": lambda: _two_gradients(model, batch),
    }


def _two_passes(model, batch):
    """Runs a separate forward pass and program for each loss and its two modalities."""
    arguments = (*_values(model), batch)
    steps = [_compiled(_gradient(model, index), *arguments) for index in (0, 1)]
    examples = [step(*arguments) for step in steps]
    combine = _compiled(realigned, examples)

    def run():
        gradients = [step(*arguments) for step in steps]
        return jax.block_until_ready(combine(gradients))

    planned = max(_temporary_bytes(step) for step in steps)
    return Scheme(run, lambda: _arrays(run()), planned)


def _two_gradients(model, batch):
    """Calls `jax.grad` for each loss in one program; XLA merges the forward passes."""
    arguments = (*_values(model), batch)

    def both(*arguments):
        return realigned([_gradient(model, index)(*arguments) for index in (0, 1)])

    step = _compiled(both, *arguments)

    def run():
        return jax.block_until_ready(step(*arguments))

    return Scheme(run, lambda: _arrays(run()), _temporary_bytes(step))


def _values(model):
    groups = (model.trainable_variables, model.non_trainable_variables)
    return [[variable.value for variable in group] for group in groups]


def _gradient(model, index):
    def loss_value(trainable_values, other_values, batch):
        mapping = [
            *zip(model.trainable_variables, trainable_values, strict=True),
            *zip(model.non_trainable_variables, other_values, strict=True),
        ]
        with keras.StatelessScope(state_mapping=mapping):
            branches = model.branches()
            names = model.branch_losses()[index].branches
            outputs = {name: branches[name](batch) for name in names}
            return branch_loss_value(model, index, outputs, batch)

    return jax.grad(loss_value)


def _compiled(function, *arguments):
    return jax.jit(function).lower(*arguments).compile()


def _temporary_bytes(compiled):
    return compiled.memory_analysis().temp_size_in_bytes


def _arrays(gradients):
    return [np.asarray(gradient) for gradient in gradients]
