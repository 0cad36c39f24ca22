"""Digests of the weights of a model."""

import hashlib

import keras
import numpy as np

from keras_vatt.storage._host_values import host_value
from keras_vatt.storage._merged_kernels import tensors_to_save
from keras_vatt.storage._preset_files import PresetError
from keras_vatt.storage._tensor_names import named_variables


def weights_sha256(model: keras.layers.Layer) -> str:
    """Computes the SHA-256 of the names, shapes and values of all weights.

    Args:
        model: a VATT model or backbone; see `named_variables`.

    Returns:
        String, the same on every backend.
    """
    return _sha256(named_variables(model))


def saved_weights_sha256(model: keras.layers.Layer) -> str:
    """Computes the SHA-256 of the weights that a preset of a model would hold.

    LoRA is merged into the kernels, so LoRA that is still zero doesn't change the
    digest. With several JAX processes, each computes the digest of its own shards:
    compare only digests of the same process.

    Args:
        model: a VATT model or backbone.

    Returns:
        String, different after any change of any weight.
    """
    try:
        tensors = tensors_to_save(model)
    except PresetError:  # LoRA can't be merged into int8 kernels.
        tensors = named_variables(model)
    return _sha256(tensors)


def _sha256(tensors):
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        for part in _parts(tensor.value):
            values = np.ascontiguousarray(part)
            digest.update(f"{name} {values.dtype.name} {values.shape}\n".encode())
            digest.update(values.reshape(-1).view(np.uint8))
    return digest.hexdigest()


def _parts(value):
    """Returns the value as an array, or the arrays of this process's shards."""
    if getattr(value, "is_fully_addressable", True) or value.is_fully_replicated:
        return [host_value(value)]
    return [np.asarray(shard.data) for shard in value.addressable_shards]
