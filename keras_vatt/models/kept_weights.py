"""Weights that outlive an error in a loop of Keras."""

import contextlib

import keras


@contextlib.contextmanager
def kept_weights(model):
    """Keep the weights of a model if a loop of Keras ends with an error.

    On the JAX backend `fit`, `evaluate` and `predict` take the weights out of the model
    and put them back at the end; an error before the first step would lose them.

    Args:
        model: the model whose loop runs in this context.
    """
    if keras.config.backend() != "jax":
        yield
        return
    optimizer = getattr(model, "optimizer", None)
    variables = [*model.variables, *getattr(optimizer, "variables", ())]
    values = [variable.value for variable in variables]
    try:
        yield
    except Exception:
        model.jax_state_sync()
        for variable, value in zip(variables, values, strict=True):
            if variable._value is None:
                variable.assign(value)
        raise
