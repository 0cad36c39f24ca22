"""Tests that a damaged checkpoint raises one clear error or is read correctly."""

import numpy as np
import pytest

from keras_vatt.cli.main import main
from keras_vatt.conversion import _sorted_table as sorted_table
from keras_vatt.conversion._errors import (
    CheckpointMismatchError,
    DamagedCheckpointError,
)
from keras_vatt.conversion._original_checkpoint import (
    OriginalCheckpoint,
    checkpoint_tensors,
)
from keras_vatt.conversion._original_config import model_from_original_config
from tests.conversion.bundle_files import Bundle, block, index_path, table
from tests.conversion.damages import DAMAGES, copy_checkpoint, damage, write_other
from tests.golden_files import FOLDER, golden_config

pytestmark = pytest.mark.once

SOURCE = FOLDER / "wat_classifier" / "ckpt-100000"
KEY = "model/layer_with_weights-0/_ops/cls/bias/.ATTRIBUTES/VARIABLE_VALUE"
SEEDS = 5


@pytest.fixture(scope="module")
def classifier():
    return model_from_original_config(golden_config("wat_classifier"))


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    prefix = tmp_path_factory.mktemp("other") / "ckpt"
    write_other(SOURCE, prefix)
    return prefix


@pytest.fixture
def prefix(tmp_path):
    copy_checkpoint(SOURCE, tmp_path / "ckpt")
    return tmp_path / "ckpt"


def values(prefix, classifier):
    tensors = checkpoint_tensors(*classifier, OriginalCheckpoint(prefix))
    return [tensor.read() for _, tensor in tensors]


@pytest.mark.parametrize("number", range(len(DAMAGES)))
@pytest.mark.parametrize("seed", range(SEEDS))
def test_damage_is_refused_or_harmless(prefix, other, classifier, number, seed):
    damage(number, prefix, other, seed)
    try:
        actual = values(prefix, classifier)
    except (CheckpointMismatchError, DamagedCheckpointError, FileNotFoundError):
        return
    for value, expected in zip(actual, values(SOURCE, classifier), strict=True):
        np.testing.assert_array_equal(value, expected)


def lie(prefix, **fields):
    """Changes fields in the index entry of one tensor."""
    bundle = Bundle.load(prefix)
    for name, value in fields.items():
        setattr(bundle.entries[KEY], name, value)
    bundle.write(prefix)


def lie_about_shape(prefix, *sizes, **fields):
    bundle = Bundle.load(prefix)
    bundle.entries[KEY].shape.Clear()
    for size in sizes:
        bundle.entries[KEY].shape.dim.add(size=size)
    bundle.write(prefix)


def swap_for_same_bytes(prefix):
    bundle = Bundle.load(prefix)
    entry, *_ = (e for k, e in bundle.entries.items() if k != KEY and e.size >= 28)
    taken = bundle.shards[0][entry.offset : entry.offset + 28]
    bundle.shards[0] = bundle.shards[0].replace(bundle.content(KEY), taken)
    bundle.write(prefix)


LIES = {
    "size": (lambda p: lie(p, size=2**40), r"1,099,511,627,776 bytes, but its shape"),
    "negative size": (lambda p: lie(p, size=-28), "negative size"),
    "offset beyond the end": (lambda p: lie(p, offset=2**40), "which has 258,332"),
    "offset of another tensor": (
        lambda p: lie(p, offset=0),
        "two tensors that overlap",
    ),
    "shard": (lambda p: lie(p, shard_id=1), "shard 1 of 1"),
    "huge shape": (lambda p: lie_about_shape(p, 2**62, 2**62), "invalid shape"),
    "hidden huge shape": (lambda p: lie_about_shape(p, 2**62, 8, 0), "invalid shape"),
    "negative shape": (lambda p: lie_about_shape(p, -7, -1), "invalid shape"),
    "many dimensions": (lambda p: lie_about_shape(p, *[1] * 300), "unknown shape"),
    "dtype": (lambda p: lie(p, dtype=2), "28 bytes, but its shape"),
    "checksum": (lambda p: lie(p, crc32c=1), f"wrong checksum: {KEY}"),
    "bytes": (swap_for_same_bytes, f"wrong checksum: {KEY}"),
}


@pytest.mark.parametrize("kind", LIES)
def test_lies_about_a_tensor_are_named(prefix, classifier, kind):
    change, message = LIES[kind]
    change(prefix)
    with pytest.raises(DamagedCheckpointError, match=message) as error:
        values(prefix, classifier)
    assert str(prefix) in str(error.value)


def test_names_with_control_characters_are_refused(prefix):
    bundle = Bundle.load(prefix)
    bundle.entries["model/\x1b[2J"] = bundle.entries.pop(KEY)
    bundle.write(prefix)
    with pytest.raises(DamagedCheckpointError, match=r"invalid name 'model/\\x1b"):
        OriginalCheckpoint(prefix)


def records_of(*pairs):
    return table([block(list(pairs))])


BLOCK = block([(b"a", b"1"), (b"b", b"2")])
TABLES = {
    "no table": (b"\0" * 100, "not the index"),
    "cut off": (table([BLOCK])[:-1], "truncated"),
    "key twice": (records_of((b"a", b""), (b"a", b"")), "duplicate or unsorted"),
    "keys out of order": (
        records_of((b"b", b""), (b"a", b"")),
        "duplicate or unsorted",
    ),
    "long key": (records_of((b"a" * 10**5, b"")), "key with a wrong size"),
    "long value": (records_of((b"a", b"1" * 10**6)), "too large"),
    "same block often": (
        table([BLOCK], [b"a"] * 9, handles=[(0, len(BLOCK))] * 9),
        "overlap",
    ),
    "block beyond the end": (table([BLOCK], handles=[(0, 2**62)]), "beyond the file"),
    "part of a block": (table([BLOCK], handles=[(0, 4)]), "wrong checksum"),
    "compressed": (table([BLOCK], compression=1), "compressed block"),
    "endless integer": (table([b"\xff" * 20 + b"\0" * 8]), "more than 64 bits"),
    "many records": (
        table([b"\0\0\0" * (sorted_table.MAX_RECORDS + 1) + b"\0" * 4]),
        "more than 20,000 records",
    ),
    "many keys, each with all of the one before it": (
        table([b"\0\x80\x08\0" + b"a" * 1024 + b"\x80\x08\1\0b" * 3000 + b"\0" * 4]),
        "duplicate or unsorted",
    ),
}


@pytest.mark.parametrize("kind", TABLES)
def test_damaged_tables_are_refused(kind):
    content, message = TABLES[kind]
    with pytest.raises(sorted_table.DamagedTableError, match=message):
        sorted_table.table_records(content)


@pytest.mark.parametrize("prefix", ["missing", "long" * 999, "null\0"])
def test_paths_that_are_not_there_are_named(prefix):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        OriginalCheckpoint(prefix)


def test_huge_index_is_not_read_whole(prefix):
    with index_path(prefix).open("r+b") as file:
        file.truncate(2**40)
    with pytest.raises(DamagedCheckpointError, match="more than 16,777,216 bytes"):
        OriginalCheckpoint(prefix)


@pytest.mark.parametrize("kind", ["index_bits", "data_bits", "shape", "data_truncated"])
def test_convert_says_one_line(prefix, other, capsys, kind):
    apply = next(function for function in DAMAGES if function.__name__ == kind)
    apply(prefix, other, np.random.default_rng(0))
    output = prefix.with_name("preset")
    config = str(FOLDER / "wat_classifier" / "config.json")
    arguments = ["convert", "--from", str(prefix), "--config", config]
    assert main([*arguments, "--output", str(output)]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("keras-vatt convert: error: The checkpoint")
    assert not output.exists()
