"""By what two models are known to have the same weights."""

import hashlib

import numpy as np
from keras import ops

from keras_vatt.storage.tensor_names import named_variables


def weights_sha256(model):
    """The SHA-256 of the names, shapes and values of all weights of a model.

    Args:
        model: a VATT model or backbone; see `named_variables`.

    Returns:
        String, the same on every backend.
    """
    digest = hashlib.sha256()
    for name, variable in sorted(named_variables(model).items()):
        values = np.ascontiguousarray(ops.convert_to_numpy(variable.value))
        digest.update(f"{name} {values.dtype.name} {values.shape}\n".encode())
        digest.update(values.reshape(-1).view(np.uint8))
    return digest.hexdigest()
