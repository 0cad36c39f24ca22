"""Keeping the weights of a model through an error in one of Keras' loops."""

import contextlib

import keras

from keras_vatt._keras_internals import forget_jax_state, value_or_none


@contextlib.contextmanager
def kept_weights(model):
    """Puts the weights back if a loop of Keras ends with an error.

    On the JAX backend `fit`, `evaluate` and `predict` take the values out of the
    model's variables and put them back at the end. An error or an interrupt before the
    first step has returned would lose them.

    Args:
        model: the model whose loop runs in this context.
    """
    if keras.config.backend() != "jax":
        yield
        return
    optimizer = getattr(model, "optimizer", None)
    variables = [
        *model.variables,
        *getattr(optimizer, "variables", ()),
        *model.metrics_variables,
    ]
    values = [variable.value for variable in variables]
    forget_jax_state(model)
    try:
        yield
    except BaseException:
        model.jax_state_sync()
        for variable, value in zip(variables, values, strict=True):
            if value_or_none(variable) is None:
                variable.assign(value)
        raise


class KeepsWeights:
    """Mixin for models whose loops keep the weights through an error.

    It stands before `keras.Model` in the list of base classes.
    """

    def fit(self, *args, **kwargs):
        """See `keras.Model.fit`."""
        with kept_weights(self):
            return super().fit(*args, **kwargs)

    def evaluate(self, *args, **kwargs):
        """See `keras.Model.evaluate`."""
        with kept_weights(self):
            return super().evaluate(*args, **kwargs)

    def predict(self, *args, **kwargs):
        """See `keras.Model.predict`."""
        with kept_weights(self):
            return super().predict(*args, **kwargs)
