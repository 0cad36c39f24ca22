"""Reads the headers and tensors of safetensors files, without Keras."""

import dataclasses
import pathlib
import re

import ml_dtypes
import numpy as np
import safetensors

from keras_vatt._untrusted import parse_json, regular_file
from keras_vatt.storage._memory_size import physical_memory
from keras_vatt.storage._preset_files import WEIGHTS_INDEX, PresetError, read_json

# The file names that the Hugging Face libraries use.
SINGLE_FILE = "model.safetensors"
SHARD = "model-{number:05d}-of-{total:05d}.safetensors"
_SHARD_PATTERN = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")
DTYPES = {"F16": "float16", "BF16": ml_dtypes.bfloat16, "F32": "float32"}
DTYPES |= {"F64": "float64", "I8": "int8"}
# A model of 1000 layers has fewer tensors; a name and a shape take about 150 bytes.
_MAX_TENSORS = 50_000
_MAX_HEADER_BYTES = 16_000_000


class MissingShardError(PresetError, FileNotFoundError):
    """A weights file in the index of a preset is missing."""


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
            return buffer.view(DTYPES[self.dtype]).reshape(self.shape)
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


def weights_files(folder):
    """Returns the paths of the weights files in a folder; an empty list if it has none.

    Raises:
        MissingShardError: if a shard in the index is missing.
        PresetError: if the index can't be read or names other files, or a file is not
            a regular one inside the folder.
    """
    folder = pathlib.Path(folder)
    single = regular_file(folder, SINGLE_FILE, PresetError)
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
    if (folder / SINGLE_FILE).is_file():
        return {}
    index = read_json(folder, WEIGHTS_INDEX)
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
