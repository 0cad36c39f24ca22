"""Writes checkpoints in the form of the published ones, with random weights.

The tensors are written one at a time, so that a checkpoint of full size needs little
memory.
"""

import pathlib
import zlib

import numpy as np
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import tensor_bundle_pb2

from keras_vatt.conversion._original_checkpoint import TensorSpec
from keras_vatt.conversion._original_config import layout_of
from keras_vatt.conversion._original_keys import original_key
from keras_vatt.storage import named_variables
from tests.conversion.bundle_files import Bundle, masked, shard_path, varint

OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_VARIABLE = "/.ATTRIBUTES/VARIABLE_VALUE"
_SLOT = "/.OPTIMIZER_SLOT/optimizer/momentum" + _VARIABLE
_COUNTERS = dict.fromkeys(
    (f"optimizer/iter{_VARIABLE}", f"save_counter{_VARIABLE}"), TensorSpec((), "int64")
)
_DTYPES = {"float32": types_pb2.DT_FLOAT, "int64": types_pb2.DT_INT64}


def model_specs(model):
    """Returns the keys and specs that the original checkpoint of a model has."""
    layout = layout_of(model)
    return {
        original_key(name, layout): TensorSpec(tuple(variable.shape), "float32")
        for name, variable in named_variables(model).items()
    }


def random_value(key, spec, seed=0):
    """Returns the value of a tensor: the same whenever the arguments are the same.

    The values have the scale of trained weights, so that the outputs of a model with
    many layers are finite.
    """
    if spec.dtype == "int64":
        return np.asarray(1000, "int64")
    generator = np.random.default_rng([seed, zlib.crc32(key.encode())])
    value = generator.standard_normal(spec.shape, "float32")
    value *= np.float32(0.02)
    return value + np.float32(_is_scale(key))


def write_original(prefix, specs, seed=0, optimizer_slots=False):
    """Writes the two files of a checkpoint, with the counters and the object graph.

    Args:
        prefix: path without `.index` and `.data-00000-of-00001`. Its folder is created.
        specs: dict from key to `TensorSpec`, the tensors of the model.
        seed: int. Defaults to 0.
        optimizer_slots: bool. Whether to add a momentum slot for each weight, which
            doubles the size. Defaults to `False`.
    """
    specs = specs | _COUNTERS
    if optimizer_slots:
        specs |= {_slot_key(k): s for k, s in specs.items() if k.startswith("model/")}
    pathlib.Path(prefix).parent.mkdir(parents=True, exist_ok=True)
    with shard_path(prefix).open("wb") as data:
        entries = {OBJECT_GRAPH: _write_string(data, b"object graph")}
        for key, spec in sorted(specs.items()):
            entries[key] = _write_array(data, random_value(key, spec, seed))
    header = tensor_bundle_pb2.BundleHeaderProto(num_shards=1)
    header.version.producer = 1
    Bundle(header, entries, shards=[]).write(prefix)


def _is_scale(key):
    """Returns whether a tensor multiplies normalized values, or is a variance."""
    name = key.removesuffix(_VARIABLE).rpartition("/")[2]
    return name in ("gamma", "weight", "moving_variance")


def _slot_key(key):
    return key.removesuffix(_VARIABLE) + _SLOT


def _write_array(data, value):
    entry = _entry(data, value.tobytes(), _DTYPES[value.dtype.name])
    for size in value.shape:
        entry.shape.dim.add(size=size)
    return entry


def _write_string(data, text):
    """Writes a scalar string: its length, a checksum of it, and its bytes.

    The checksum of the entry covers the length as 4 bytes, not in its written form.
    """
    length = len(text).to_bytes(4, "little")
    check = masked(length).to_bytes(4, "little")
    entry = _entry(data, varint(len(text)) + check + text, types_pb2.DT_STRING)
    entry.crc32c = masked(length + check + text)
    return entry


def _entry(data, content, dtype):
    entry = tensor_bundle_pb2.BundleEntryProto(dtype=dtype, size=len(content))
    entry.offset = data.tell()
    entry.crc32c = masked(content)
    data.write(content)
    return entry
