"""Limits on the number of parameters, before any memory is allocated."""

import math

from keras_vatt.storage import _config_limits as limits
from keras_vatt.storage._memory_size import physical_memory
from keras_vatt.storage._preset_files import PresetError


def available_parameters(tensors=None):
    """Returns the number of parameters that a model of a preset may have.

    Args:
        tensors: dict of `StoredTensor`, the weights. Defaults to `None`, random
            weights: as many as fit into half of the memory, and at most a billion.

    Returns:
        int.
    """
    if tensors is not None:
        return sum(math.prod(tensor.shape) for tensor in tensors.values())
    return min(limits.MAX_RANDOM_PARAMETERS, physical_memory() // 8)


def check_parameters(minimum, available, name):
    """Refuses a config with more parameters than are available.

    Args:
        minimum: int, lower bound on the parameters of the model.
        available: int, see `available_parameters`.
        name: string, the preset, for the message.

    Raises:
        PresetError: if `minimum` is larger.
    """
    if minimum > available:
        raise PresetError(
            f"The config of the preset {name!r} needs at least {minimum:,} parameters, "
            f"but only {available:,} are in its weights or fit into memory"
        )
