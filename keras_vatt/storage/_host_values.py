"""Values of variables as NumPy arrays."""

from typing import Any

import keras
import numpy as np
from keras import ops


def host_value(value: Any) -> np.ndarray:
    """Returns the value of a variable as a NumPy array, without a copy if possible.

    Args:
        value: tensor of the backend. It must not change while the array is used.
    """
    if keras.config.backend() == "jax":
        # Keras would copy it, which doubles the memory of saving a model.
        return np.asarray(value)
    return ops.convert_to_numpy(value)
