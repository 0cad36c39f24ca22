"""Digests by which two sets of weights are known to be the same."""

import hashlib

import numpy as np
from keras import ops

from keras_vatt.storage._merged_kernels import tensors_to_save
from keras_vatt.storage._preset_files import PresetError
from keras_vatt.storage._tensor_names import named_variables


def weights_sha256(model):
    """The SHA-256 of the names, shapes and values of all weights of a model.

    Args:
        model: a VATT model or backbone; see `named_variables`.

    Returns:
        String, the same on every backend.
    """
    return _sha256(named_variables(model))


def saved_weights_sha256(model):
    """Returns the SHA-256 of all that a preset of a model would hold as weights.

    LoRA counts as the change of the kernels that it is, so that LoRA which changes
    nothing yet leaves the digest as it was. On several processes of JAX each one
    digests the shards that it holds: compare digests of one process only.

    Args:
        model: a VATT model or backbone.

    Returns:
        String, which any change of any weight changes.
    """
    try:
        tensors = tensors_to_save(model)
    except PresetError:  # LoRA on int8 kernels, which can't be merged.
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
    """Returns the arrays of a value: itself, or its shards that this process holds."""
    if getattr(value, "is_fully_addressable", True) or value.is_fully_replicated:
        return [ops.convert_to_numpy(value)]
    return [np.asarray(shard.data) for shard in value.addressable_shards]
