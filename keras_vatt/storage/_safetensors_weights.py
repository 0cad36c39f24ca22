"""Saves the weights of models in safetensors files, and matches them with models."""

import math
import os
import pathlib
import re

import keras
import safetensors.numpy

from keras_vatt._files import write_json
from keras_vatt._os_errors import os_errors_at
from keras_vatt.storage._host_values import host_value
from keras_vatt.storage._merged_kernels import tensors_to_save
from keras_vatt.storage._preset_files import WEIGHTS_INDEX, PresetError
from keras_vatt.storage._stored_tensors import DTYPES, SHARD, SINGLE_FILE

_GIGABYTE = 10**9
_MAX_SHOWN = 50


class WeightsMismatchError(PresetError):
    """The weights in a file don't fit the model.

    Attributes:
        problems: list of strings, one per tensor.
    """

    def __init__(self, path: str | os.PathLike, problems: list[str]):
        shown = "\n".join(f"  {problem}" for problem in problems[:_MAX_SHOWN])
        if len(problems) > _MAX_SHOWN:
            shown += f"\n  and {len(problems) - _MAX_SHOWN:,} more"
        super().__init__(
            f"The weights {str(path)!r} don't fit the model. {len(problems)} problems "
            f"with tensors:\n{shown}"
        )
        self.problems = problems


def save_weights(
    model: keras.layers.Layer, folder: str | os.PathLike, max_shard_size: float = 5.0
) -> list[pathlib.Path]:
    """Saves the weights of a model into a folder.

    The file is `model.safetensors`. Weights larger than `max_shard_size` are split into
    `model-00001-of-0000N.safetensors` and so on, with an index from tensor to file. A
    tensor is never split.

    Args:
        model: a VATT model or backbone; see `tensors_to_save`.
        folder: string or path of an existing folder.
        max_shard_size: float. Size of the largest file in gigabytes. Defaults to `5.0`.

    Returns:
        List of the paths of the weights files.

    Raises:
        OSError: if they can't be written, such as on a full disk.
    """
    folder = pathlib.Path(folder)
    shards = _split(tensors_to_save(model), max_shard_size * _GIGABYTE)
    if len(shards) == 1:
        return [_save_file(shards[0], folder / SINGLE_FILE)]
    paths, weight_map = [], {}
    for number, shard in enumerate(shards, start=1):
        path = folder / SHARD.format(number=number, total=len(shards))
        paths.append(_save_file(shard, path))
        weight_map |= dict.fromkeys(shard, path.name)
    total = sum(_size(v) for shard in shards for v in shard.values())
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    write_json(folder / WEIGHTS_INDEX, index)
    return paths


def match_tensors(variables, tensors, folder, ignored_prefixes=()):
    """Matches every variable with its tensor.

    Every variable needs a tensor of the same name and shape. Float dtypes are converted
    to that of the variable; int8 variables need int8 tensors. Other tensors are not
    allowed.

    Args:
        variables: dict from name to variable, of which only `shape` and `dtype` are
            read.
        tensors: dict, see `stored_tensors`.
        folder: string or path of the weights, for the message.
        ignored_prefixes: tuple of strings. Tensors whose names start with one of them
            are ignored. Defaults to `()`.

    Returns:
        List of tuples of variable and `StoredTensor`.

    Raises:
        WeightsMismatchError: if tensors are missing, unexpected, or have another shape
            or dtype.
    """
    present = {name for name in tensors if not name.startswith(ignored_prefixes)}
    problems = [f"missing: {name}" for name in variables if name not in present]
    problems += [f"not expected: {name}" for name in sorted(present - set(variables))]
    for name, variable in variables.items():
        if name not in present:
            continue
        shape, dtype = tensors[name].shape, tensors[name].dtype
        if shape != tuple(variable.shape):
            problems.append(
                f"wrong shape: {name} is {shape}, expected {tuple(variable.shape)}"
            )
        is_int8 = keras.backend.standardize_dtype(variable.dtype) == "int8"
        if dtype not in DTYPES or is_int8 != (dtype == "I8"):
            expected = "int8" if is_int8 else "a float"
            problems.append(f"wrong dtype: {name} is {dtype}, expected {expected}")
    if problems:
        raise WeightsMismatchError(folder, problems)
    return [(variable, tensors[name]) for name, variable in variables.items()]


def _split(variables, max_bytes):
    shards, free = [{}], max_bytes
    for name, variable in variables.items():
        size = _size(variable)
        if size > free and shards[-1]:
            shards.append({})
            free = max_bytes
        shards[-1][name] = variable
        free -= size
    return shards


def _size(variable):
    bits = int(re.sub(r"\D", "", variable.dtype))  # Of "bfloat16", "int8" and so on.
    return math.prod(variable.shape) * bits // 8


def _save_file(variables, path):
    tensors = {name: host_value(variable.value) for name, variable in variables.items()}
    # The Hugging Face libraries look for `format`.
    with os_errors_at(path):
        safetensors.numpy.save_file(tensors, path, metadata={"format": "keras"})
    path.chmod(0o644)  # The library makes files that only the owner can read.
    return path
