"""Activations of the projections before and after an encoder."""

from keras_vatt._choices import check_choice
from keras_vatt._encoder_options import DENSE_ACTIVATIONS


def dense_activation(activation):
    """Returns the activation of a projection after a check of its name.

    Args:
        activation: string.

    Returns:
        string, for `keras.layers.Dense`.

    Raises:
        ValueError: for a name that is not in `DENSE_ACTIVATIONS`. `"geglu"` is one: it
            is an MLP, not a function, so only an encoder can use it.
    """
    check_choice("activation", activation, DENSE_ACTIVATIONS)
    return activation
