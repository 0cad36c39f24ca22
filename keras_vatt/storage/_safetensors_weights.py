"""Saves and reads the weights of models in safetensors files."""

import dataclasses
import math
import os
import pathlib
import re

import keras
import ml_dtypes
import numpy as np
import safetensors
import safetensors.numpy
from keras import ops

from keras_vatt._os_errors import os_errors_at
from keras_vatt._untrusted import parse_json, regular_file
from keras_vatt.storage._memory_size import physical_memory
from keras_vatt.storage._merged_kernels import tensors_to_save
from keras_vatt.storage._preset_files import (
    WEIGHTS_INDEX,
    PresetError,
    read_json,
    write_json,
)

# The file names that the Hugging Face libraries use.
_SINGLE = "model.safetensors"
_SHARD = "model-{number:05d}-of-{total:05d}.safetensors"
_SHARD_PATTERN = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")
_DTYPES = {"F16": "float16", "BF16": ml_dtypes.bfloat16, "F32": "float32"}
_DTYPES |= {"F64": "float64", "I8": "int8"}
_GIGABYTE = 10**9
# A model of 1000 layers has fewer tensors; a name and a shape take about 150 bytes.
_MAX_TENSORS = 50_000
_MAX_HEADER_BYTES = 16_000_000
_MAX_SHOWN = 50


class MissingShardError(PresetError, FileNotFoundError):
    """A weights file in the index of a preset is missing."""


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
        return [_save_file(shards[0], folder / _SINGLE)]
    paths, weight_map = [], {}
    for number, shard in enumerate(shards, start=1):
        path = folder / _SHARD.format(number=number, total=len(shards))
        paths.append(_save_file(shard, path))
        weight_map |= dict.fromkeys(shard, path.name)
    total = sum(_size(v) for shard in shards for v in shard.values())
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    write_json(index, folder / WEIGHTS_INDEX)
    return paths


@dataclasses.dataclass(frozen=True)
class StoredTensor:
    """The place of a tensor in a weights file, from the file's header.

    Attributes:
        path: `pathlib.Path` of the file.
        offset: int, the position of its first byte in the file.
        size: int, its number of bytes.
        shape: tuple of ints.
        dtype: string, the dtype in the format's notation, such as `"F32"`.
    """

    path: pathlib.Path
    offset: int
    size: int
    shape: tuple[int, ...]
    dtype: str

    def read(self) -> np.ndarray:
        """Reads the values as a NumPy array.

        It doesn't use the library's memory map, whose pages stay in memory until the
        file is closed: loading would take twice the size of the model.

        Raises:
            PresetError: if the file was truncated or replaced since its header was
                read, or can't be read from the disk.
        """
        try:
            buffer = np.fromfile(self.path, np.uint8, self.size, offset=self.offset)
            return buffer.view(_DTYPES[self.dtype]).reshape(self.shape)
        except (OSError, ValueError) as error:
            raise _damaged(self.path, error) from error


def stored_tensors(folder):
    """Returns the tensors in a folder, of which only the file headers are read.

    Args:
        folder: string or path of a folder; see `save_weights`.

    Returns:
        Dict from name to `StoredTensor`.

    Raises:
        MissingShardError: if a shard is missing.
        PresetError: if a file is truncated or not a safetensors file, or a tensor is in
            two shards or in another shard than in the index.
    """
    folder = pathlib.Path(folder)
    weight_map = _read_weight_map(folder)
    tensors = {}
    for path in weights_files(folder):
        for name, tensor in _read_header(path).items():
            if name in tensors or (weight_map and weight_map.get(name) != path.name):
                raise PresetError(
                    f"{str(path)!r} holds {name!r}, which is in another file in the "
                    f"index {WEIGHTS_INDEX!r}. Copy or download the preset again"
                )
            tensors[name] = tensor
    return tensors


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
        if dtype not in _DTYPES or is_int8 != (dtype == "I8"):
            expected = "int8" if is_int8 else "a float"
            problems.append(f"wrong dtype: {name} is {dtype}, expected {expected}")
    if problems:
        raise WeightsMismatchError(folder, problems)
    return [(variable, tensors[name]) for name, variable in variables.items()]


def weights_files(folder):
    """Returns the paths of the weights files in a folder; an empty list if it has none.

    Raises:
        MissingShardError: if a shard in the index is missing.
        PresetError: if the index can't be read or names other files, or a file is not
            a regular one inside the folder.
    """
    folder = pathlib.Path(folder)
    single = regular_file(folder, _SINGLE, PresetError)
    if single is not None:
        return [single]
    names = sorted(set(_read_weight_map(folder).values()))
    paths = {name: regular_file(folder, name, PresetError) for name in names}
    missing = [name for name in names if paths[name] is None]
    if missing:
        raise MissingShardError(
            f"{str(folder)!r} lacks the weights files {missing} of its index: the copy "
            "or download is incomplete. Copy or download it again"
        )
    return list(paths.values())


def _read_weight_map(folder):
    index = None if (folder / _SINGLE).is_file() else read_json(folder, WEIGHTS_INDEX)
    if index is None:
        return {}
    weight_map = index.get("weight_map")
    names = list(weight_map.values()) if isinstance(weight_map, dict) else [None]
    if not all(isinstance(n, str) and _SHARD_PATTERN.fullmatch(n) for n in names):
        raise PresetError(
            f"The index {str(folder / WEIGHTS_INDEX)!r} must map tensors to shards "
            "named model-00001-of-00002.safetensors and so on"
        )
    return weight_map


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
    tensors = {
        name: ops.convert_to_numpy(variable.value)
        for name, variable in variables.items()
    }
    # The Hugging Face libraries look for `format`.
    with os_errors_at(path):
        safetensors.numpy.save_file(tensors, path, metadata={"format": "keras"})
    path.chmod(0o644)  # The library makes files that only the owner can read.
    return path


def _damaged(path, error):
    return PresetError(
        f"The weights {str(path)!r} can't be read; the file is damaged or truncated: "
        f"{error}. Copy or download it again"
    )


def _read_header(path):
    """Returns the tensors of a file after the library has validated it."""
    try:
        header_size, header = _parse_header(path)
        with safetensors.safe_open(str(path), framework="numpy"):
            pass
    except (safetensors.SafetensorError, ValueError, RecursionError) as error:
        raise _damaged(path, error) from error
    tensors = {}
    for name in header.keys() - {"__metadata__"}:
        entry = header[name]
        first, end = entry["data_offsets"]
        tensors[name] = StoredTensor(
            path,
            8 + header_size + first,
            end - first,
            tuple(entry["shape"]),
            entry["dtype"],
        )
    return tensors


def _parse_header(path):
    """Reads the size and content of a header; refuses headers that are too large."""
    if path.stat().st_size > physical_memory():
        raise ValueError("it is larger than the memory of this machine")
    with open(path, "rb") as file:
        size = int.from_bytes(file.read(8), "little")
        limit = min(_MAX_HEADER_BYTES, path.stat().st_size - 8)
        if size > limit:
            raise ValueError(f"its header has {size:,} bytes, more than {limit:,}")
        header = parse_json(file.read(size))
    if not isinstance(header, dict) or len(header) > _MAX_TENSORS:
        raise ValueError(
            f"its header is not an object of up to {_MAX_TENSORS:,} tensors"
        )
    return size, header
