"""By what two models are known to be the same: their weights and their clips."""

import hashlib

import numpy as np
from keras import ops

from keras_vatt.storage.tensor_names import named_variables


def model_identity(model):
    """What an index keeps of the model that made it.

    Args:
        model: `keras_vatt.VATT` with a preprocessor.

    Returns:
        Dict of JSON types: `"weights_sha256"`, over the names, shapes and values of
        all weights, the same on every backend; and `"clip"`, the config of the clips.
    """
    digest = hashlib.sha256()
    for name, variable in sorted(named_variables(model).items()):
        values = np.ascontiguousarray(ops.convert_to_numpy(variable.value))
        digest.update(f"{name} {values.dtype.name} {values.shape}\n".encode())
        digest.update(values.reshape(-1).view(np.uint8))
    return {
        "weights_sha256": digest.hexdigest(),
        "clip": model.preprocessor.clip_spec.get_config(),
    }
