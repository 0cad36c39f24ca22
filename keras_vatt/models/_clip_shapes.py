"""Inference on clips of several shapes with TensorFlow."""

import contextlib

import keras


@contextlib.contextmanager
def predicts_shape(model, shape):
    """Uses a separate predict function for each clip shape, on TensorFlow.

    Keras traces its predict function again for a second shape with unknown axes, from
    which VATT can't compute the patch grid. Other backends handle several shapes.

    Args:
        model: a `keras.Model`.
        shape: tuple of ints, the shape of the clips without the batch axis.
    """
    if keras.config.backend() != "tensorflow":
        yield
        return
    # Not by `setattr`: Keras would track the dict.
    functions = model.__dict__.setdefault("_predict_functions", {})
    if model.predict_function is None:  # Compiled, quantized or LoRA enabled since.
        functions.clear()
    model.predict_function = functions.get(tuple(shape))
    yield
    functions[tuple(shape)] = model.predict_function
