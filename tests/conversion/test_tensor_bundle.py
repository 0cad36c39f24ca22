"""Tests that checkpoints are read like by TensorFlow's own reader."""

import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from keras_vatt.conversion._errors import DamagedCheckpointError
from keras_vatt.conversion._original_checkpoint import OriginalCheckpoint
from keras_vatt.conversion._tensor_bundle import TensorBundle
from tests.conversion.bundle_files import Bundle, block, shard_path, table
from tests.golden_files import FOLDER

pytestmark = pytest.mark.once

GOLDEN = sorted(path.with_suffix("") for path in FOLDER.glob("*/*.index"))
DTYPES = ("float32", "float64", "float16", "bfloat16", "float8_e5m2", "float8_e4m3fn")
DTYPES += ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
DTYPES += ("bool",)


def save(prefix, tensors, slices=None):
    """Writes a checkpoint of one shard with TensorFlow."""
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=list(tensors),
        shape_and_slices=slices or [""] * len(tensors),
        tensors=list(tensors.values()),
    )


def numbers(count, dtype="float32"):
    values = np.random.default_rng(0).integers(0, 99, count)
    return values.astype(tf.as_dtype(dtype).as_numpy_dtype)


def assert_as_tensorflow_reads(prefix):
    reader = tf.train.load_checkpoint(str(prefix))
    bundle = TensorBundle(prefix)
    shapes = reader.get_variable_to_shape_map()
    assert set(bundle.tensors) == set(shapes)
    for name, dtype in reader.get_variable_to_dtype_map().items():
        tensor = bundle.tensors[name]
        assert tensor.shape == tuple(shapes[name])
        assert tensor.dtype == dtype.name
        if dtype != tf.string:
            expected, actual = np.asarray(reader.get_tensor(name)), bundle.read(name)
            assert actual.dtype == expected.dtype
            assert actual.shape == expected.shape
            assert actual.tobytes() == expected.tobytes()


@pytest.mark.parametrize("prefix", GOLDEN, ids=lambda prefix: prefix.parent.name)
def test_golden_checkpoints_are_read_bit_for_bit(prefix):
    assert_as_tensorflow_reads(prefix)


def test_all_dtypes_are_read_bit_for_bit(tmp_path):
    tensors = {dtype: numbers((3, 5), dtype) for dtype in DTYPES}
    tensors |= {"scalar": tf.constant(2.0), "empty": tf.zeros((0, 3))}
    save(tmp_path / "ckpt", tensors)
    assert_as_tensorflow_reads(tmp_path / "ckpt")


def test_checkpoint_of_two_shards_is_read_bit_for_bit(tmp_path):
    parts = [str(tmp_path / f"part_{index}") for index in range(2)]
    for index, part in enumerate(parts):
        save(part, {f"{index}/{name}": numbers((index + 2, 7)) for name in "abc"})
    prefix = tmp_path / "ckpt"
    tf.raw_ops.MergeV2Checkpoints(
        checkpoint_prefixes=parts, destination_prefix=str(prefix)
    )
    assert shard_path(prefix, 1, 2).is_file()
    assert_as_tensorflow_reads(prefix)
    shard_path(prefix, 1, 2).unlink()
    with pytest.raises(DamagedCheckpointError, match="needs 'ckpt.data-00001-of"):
        TensorBundle(prefix)


def test_index_of_several_blocks_is_read_bit_for_bit(tmp_path):
    names = [f"{index:05d}/{'name' * 40}" for index in range(5000)]
    save(tmp_path / "ckpt", {name: tf.constant(1.0) for name in names})
    assert_as_tensorflow_reads(tmp_path / "ckpt")


@pytest.mark.parametrize("prefix", GOLDEN, ids=lambda prefix: prefix.parent.name)
def test_what_the_tests_write_is_read_by_tensorflow(tmp_path, prefix):
    # Otherwise damaged files could fail only because of how the tests write them.
    Bundle.load(prefix).write(tmp_path / "ckpt")
    assert_as_tensorflow_reads(tmp_path / "ckpt")


def test_index_of_small_blocks_is_read_bit_for_bit(tmp_path):
    bundle = Bundle.load(GOLDEN[0])
    records = bundle.records()
    groups = [records[start : start + 20] for start in range(0, len(records), 20)]
    index = table(
        [block(group) for group in groups], [group[-1][0] for group in groups]
    )
    bundle.write(tmp_path / "ckpt", index)
    assert_as_tensorflow_reads(tmp_path / "ckpt")


@pytest.mark.parametrize(
    ("value", "slices", "message"),
    [
        (tf.constant(["word"]), "", "stored as string"),
        (tf.ones((2, 3)), "4 3 0,2:0,3", "stored in partitions"),
    ],
)
def test_tensors_of_other_forms_are_refused_when_read(tmp_path, value, slices, message):
    tensors = {"other": value, "plain": tf.ones(2)}
    save(tmp_path / "ckpt", tensors, [slices, ""])
    checkpoint = OriginalCheckpoint(tmp_path / "ckpt")
    np.testing.assert_array_equal(checkpoint.read("plain"), [1, 1])
    with pytest.raises(DamagedCheckpointError, match=f"other is {message}"):
        checkpoint.read("other")


def test_folder_with_one_checkpoint_stands_for_it(tmp_path):
    save(tmp_path / "ckpt-1", {"a": tf.ones(2)})
    assert list(OriginalCheckpoint(tmp_path).specs) == ["a"]
    save(tmp_path / "ckpt-2", {"a": tf.ones(2)})
    with pytest.raises(FileNotFoundError, match="several checkpoints.*ckpt-1, ckpt-2"):
        OriginalCheckpoint(tmp_path)


def test_reading_does_not_import_tensorflow():
    program = (
        "import sys; sys.modules['tensorflow'] = None\n"
        "from keras_vatt.conversion._tensor_bundle import TensorBundle\n"
        "bundle = TensorBundle(sys.argv[1])\n"
        "names = [n for n, t in bundle.tensors.items() if t.is_array]\n"
        "print(sum(bundle.read(name).size for name in names))"
    )
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    command = [sys.executable, "-c", program, str(GOLDEN[0])]
    output = subprocess.run(
        command, check=True, capture_output=True, text=True, env=environment
    )
    assert int(output.stdout) > 0
