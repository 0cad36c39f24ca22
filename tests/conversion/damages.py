"""Seeded damages of a checkpoint, for the tests and the fuzzer.

A damage is a function `(prefix, other, generator)` that changes the files of the
checkpoint `prefix`. `other` is the prefix of a checkpoint of the same model with other
values. Afterward, the checkpoint is either invalid or has the same values. No damage
produces a valid checkpoint with other values, which a reader could not detect.
"""

import os
import shutil

import numpy as np
from tensorflow.core.framework import types_pb2

from tests.conversion.bundle_files import (
    MAGIC,
    Bundle,
    block,
    index_path,
    masked,
    shard_path,
    table,
    varint,
)

_VARIABLE = "VARIABLE_VALUE"
_SPECIAL = (0, 1, 127, 128, 2**31 - 1, 2**31, 2**32, 2**40, 2**62, 2**63 - 1)


def _flip(path, generator):
    content = bytearray(path.read_bytes())
    for _ in range(generator.integers(1, 9)):
        content[generator.integers(len(content))] ^= 1 << generator.integers(8)
    path.write_bytes(content)


def index_bits(prefix, other, generator):
    _flip(index_path(prefix), generator)


def data_bits(prefix, other, generator):
    _flip(shard_path(prefix), generator)


def _truncate(path, generator):
    os.truncate(path, generator.integers(path.stat().st_size))


def index_truncated(prefix, other, generator):
    _truncate(index_path(prefix), generator)


def data_truncated(prefix, other, generator):
    _truncate(shard_path(prefix), generator)


def index_bytes_inserted(prefix, other, generator):
    path = index_path(prefix)
    content, place = path.read_bytes(), generator.integers(path.stat().st_size)
    path.write_bytes(content[:place] + generator.bytes(8) + content[place:])


def footer(prefix, other, generator):
    path = index_path(prefix)
    handles = b"".join(varint(_number(generator)) for _ in range(4))[:40]
    path.write_bytes(path.read_bytes()[:-48] + handles.ljust(40, b"\0") + MAGIC)


def _number(generator):
    return _SPECIAL[generator.integers(len(_SPECIAL))]


def block_content(prefix, other, generator):
    """Changes bytes of the block of records and keeps its checksum correct."""
    bundle = Bundle.load(prefix)
    content = bytearray(block(bundle.records()))
    for _ in range(generator.integers(1, 5)):
        content[generator.integers(len(content))] = generator.integers(256)
    bundle.write(prefix, table([bytes(content)]))


def block_handles(prefix, other, generator):
    bundle = Bundle.load(prefix)
    content = block(bundle.records())
    handles = [
        [(_number(generator), len(content))],
        [(0, _number(generator))],
        [(0, len(content))] * 3,
    ]
    chosen = handles[generator.integers(3)]
    blocks = [content, *[block([])] * (len(chosen) - 1)]
    bundle.write(prefix, table(blocks, handles=chosen))


def restarts(prefix, other, generator):
    bundle = Bundle.load(prefix)
    content = block(bundle.records())[:-4]
    number = _number(generator) % 2**32
    bundle.write(prefix, table([content + number.to_bytes(4, "little")]))


def compression(prefix, other, generator):
    bundle = Bundle.load(prefix)
    kind = int(generator.integers(1, 256))
    bundle.write(prefix, table([block(bundle.records())], compression=kind))


def _chosen(bundle, generator):
    keys = [k for k in bundle.entries if _VARIABLE in k and len(bundle.content(k)) > 8]
    return keys[generator.integers(len(keys))]


def _lie(prefix, generator, change):
    """Changes the entry of a tensor and keeps all checksums correct."""
    bundle = Bundle.load(prefix)
    key = _chosen(bundle, generator)
    change(bundle, bundle.entries[key])
    bundle.write(prefix)


def size(prefix, other, generator):
    def change(bundle, entry):
        near = entry.size + int(generator.integers(-entry.size, entry.size))
        lies = (near, _number(generator), -1)
        entry.size = lies[generator.integers(3)]
        _right_checksum(bundle, entry)

    _lie(prefix, generator, change)


def offset(prefix, other, generator):
    def change(bundle, entry):
        near = int(generator.integers(len(bundle.shards[0])))
        lies = (near, _number(generator), -1)
        entry.offset = lies[generator.integers(3)]
        _right_checksum(bundle, entry)

    _lie(prefix, generator, change)


def _right_checksum(bundle, entry):
    if entry.offset >= 0 and entry.size >= 0:
        end = min(entry.offset + entry.size, 2**40)
        entry.crc32c = masked(bundle.shards[0][entry.offset : end])


def shape(prefix, other, generator):
    def change(bundle, entry):
        sizes = [dimension.size for dimension in entry.shape.dim]
        lies = (
            [-1, *sizes],
            [*sizes, _number(generator)],
            [_number(generator)] * int(generator.integers(1, 300)),
            [entry.size // 2],
            [],
            [2**32, 2**32, *sizes],
        )
        lie = lies[generator.integers(len(lies))]
        del entry.shape.dim[:]
        for value in lie:
            entry.shape.dim.add(size=value)

    _lie(prefix, generator, change)


def unknown_rank(prefix, other, generator):
    def change(bundle, entry):
        entry.shape.unknown_rank = True

    _lie(prefix, generator, change)


def dtype(prefix, other, generator):
    kinds = (0, 2, 3, 7, 8, 9, 10, 11, 14, 20, 21, 23, 99, 101, 2**31 - 1)

    def change(bundle, entry):
        entry.dtype = kinds[generator.integers(len(kinds))]

    _lie(prefix, generator, change)


def shard_id(prefix, other, generator):
    def change(bundle, entry):
        entry.shard_id = (-1, 1, 7, 2**31 - 1)[generator.integers(4)]

    _lie(prefix, generator, change)


def checksum(prefix, other, generator):
    def change(bundle, entry):
        entry.crc32c ^= 1 << int(generator.integers(32))

    _lie(prefix, generator, change)


def slices(prefix, other, generator):
    def change(bundle, entry):
        for _ in range(generator.integers(1, 4)):
            extent = entry.slices.add().extent.add()
            extent.start = int(generator.integers(4))
            extent.length = int(generator.integers(4))

    _lie(prefix, generator, change)


def entry_bytes(prefix, other, generator):
    bundle = Bundle.load(prefix)
    records = bundle.records()
    place = generator.integers(1, len(records))
    records[place] = (records[place][0], generator.bytes(20))
    bundle.write(prefix, table([block(records)]))


def header(prefix, other, generator):
    bundle = Bundle.load(prefix)
    lie = generator.integers(5)
    if lie == 0:
        bundle.header.endianness = 1
    elif lie == 1:
        bundle.header.version.min_consumer = 2**31 - 1
    else:
        bundle.header.num_shards = (-1, 0, 2, 2**31 - 1)[generator.integers(4)]
    bundle.write(prefix)


def header_missing(prefix, other, generator):
    bundle = Bundle.load(prefix)
    bundle.write(prefix, table([block(bundle.records()[1:])]))


def keys(prefix, other, generator):
    """Removes, duplicates, reorders or replaces a key, or makes it invalid UTF-8."""
    bundle = Bundle.load(prefix)
    records = bundle.records()
    place = 1 + [k.decode() for k, _ in records[1:]].index(_chosen(bundle, generator))
    key, value = records[place]
    changed = [
        [],
        [(key, value), (key, records[1][1])],
        [(key[:-1], value), (key, value)][::-1],
        [(key + b"\xff\xfe", value)],
        [(key + b"/else", value)],
        [(key[: len(key) // 2] + b"\0" * 5000, value)],
    ]
    records[place : place + 1] = changed[generator.integers(len(changed))]
    bundle.write(prefix, table([block(records)]))


def _either(prefix, generator):
    return (index_path(prefix), shard_path(prefix))[generator.integers(2)]


def file_missing(prefix, other, generator):
    _either(prefix, generator).unlink()


def file_empty(prefix, other, generator):
    _either(prefix, generator).write_bytes(b"")


def file_of_another_kind(prefix, other, generator):
    path = _either(prefix, generator)
    path.unlink()
    makers = (
        lambda: os.mkfifo(path),
        path.mkdir,
        lambda: path.symlink_to("/dev/zero"),
        lambda: path.symlink_to(path.name),
        lambda: path.symlink_to("missing"),
    )
    makers[generator.integers(len(makers))]()


def files_swapped(prefix, other, generator):
    index, data = index_path(prefix), shard_path(prefix)
    contents = index.read_bytes(), data.read_bytes()
    data.write_bytes(contents[0])
    index.write_bytes(contents[1])


def index_of_another(prefix, other, generator):
    shutil.copyfile(index_path(other), index_path(prefix))


def data_of_another(prefix, other, generator):
    shutil.copyfile(shard_path(other), shard_path(prefix))


def random_data(prefix, other, generator):
    path = shard_path(prefix)
    path.write_bytes(generator.bytes(path.stat().st_size))


DAMAGES = (
    index_bits,
    data_bits,
    index_truncated,
    data_truncated,
    index_bytes_inserted,
    footer,
    block_content,
    block_handles,
    restarts,
    compression,
    size,
    offset,
    shape,
    unknown_rank,
    dtype,
    shard_id,
    checksum,
    slices,
    entry_bytes,
    header,
    header_missing,
    keys,
    file_missing,
    file_empty,
    file_of_another_kind,
    files_swapped,
    index_of_another,
    data_of_another,
    random_data,
)


def copy_checkpoint(source, prefix):
    """Copies the files of a checkpoint with one shard."""
    shutil.copyfile(index_path(source), index_path(prefix))
    shutil.copyfile(shard_path(source), shard_path(prefix))


def write_other(source, prefix):
    """Writes a checkpoint like `source` with other values."""
    bundle = Bundle.load(source)
    values = np.frombuffer(bundle.shards[0], "uint8").copy()
    for entry in bundle.entries.values():
        if entry.dtype == types_pb2.DT_FLOAT:
            content = values[entry.offset : entry.offset + entry.size]
            content.view("<f4")[:] += 1
            entry.crc32c = masked(content)
    bundle.shards = [values.tobytes()]
    bundle.write(prefix)


def damage(number, prefix, other, seed=0):
    """Applies the damage with a number, modulo their count, and returns its name."""
    apply = DAMAGES[number % len(DAMAGES)]
    apply(prefix, other, np.random.default_rng([seed, number]))
    return apply.__name__
