"""Writes TensorFlow checkpoints with correct checksums and wrong content.

Apart from reading the records of a valid index, it doesn't use the code under test.
"""

import dataclasses
import os
import pathlib

import google_crc32c
from tensorflow.core.protobuf import tensor_bundle_pb2

from keras_vatt.conversion._sorted_table import table_records

MAGIC = (0xDB4775248B80FB57).to_bytes(8, "little")
RESTART_INTERVAL = 16


def masked(content):
    checksum = google_crc32c.value(bytes(content))
    return ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF


def varint(value):
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def block(records):
    """Encodes a list of pairs of key and value as a block."""
    content, restarts, last = b"", [], b""
    for index, (key, value) in enumerate(records):
        if index % RESTART_INTERVAL == 0:
            restarts.append(len(content))
            last = b""
        shared = len(os.path.commonprefix([last, key]))
        sizes = (shared, len(key) - shared, len(value))
        content += b"".join(map(varint, sizes)) + key[shared:] + value
        last = key
    offsets = [*(restarts or [0]), len(restarts or [0])]
    return content + b"".join(offset.to_bytes(4, "little") for offset in offsets)


def table(blocks, last_keys=None, compression=0, handles=None):
    """Encodes blocks as a table with correct checksums.

    Args:
        blocks: list of bytes.
        last_keys: list of the keys in the index block, which TensorFlow searches.
            Defaults to keys that are greater than all others.
        compression: int, the compression type byte of the blocks.
        handles: list of pairs of offset and size in the index block. Defaults to the
            correct ones.
    """
    content, right = b"", []
    for data in [*blocks, block([])]:
        right.append((len(content), len(data)))
        content += _with_trailer(data, compression)
    *places, filters = right
    last_keys = last_keys or [b"\xff%08d" % index for index in range(len(places))]
    values = [varint(offset) + varint(size) for offset, size in handles or places]
    index = block(list(zip(last_keys, values, strict=True)))
    footer = b"".join(map(varint, (*filters, len(content), len(index))))
    return content + _with_trailer(index, compression) + footer.ljust(40, b"\0") + MAGIC


def _with_trailer(data, compression):
    data += bytes([compression])
    return data + masked(data).to_bytes(4, "little")


@dataclasses.dataclass
class Bundle:
    """An editable checkpoint in memory."""

    header: tensor_bundle_pb2.BundleHeaderProto
    entries: dict
    shards: list

    @classmethod
    def load(cls, prefix):
        (_, header), *records = table_records(
            pathlib.Path(f"{prefix}.index").read_bytes()
        )
        header = tensor_bundle_pb2.BundleHeaderProto.FromString(header)
        entry = tensor_bundle_pb2.BundleEntryProto.FromString
        count = header.num_shards
        return cls(
            header,
            {key.decode(): entry(value) for key, value in records},
            [shard_path(prefix, i, count).read_bytes() for i in range(count)],
        )

    def records(self):
        entries = sorted((key.encode(), entry) for key, entry in self.entries.items())
        return [
            (b"", self.header.SerializeToString()),
            *((key, entry.SerializeToString()) for key, entry in entries),
        ]

    def content(self, key):
        """Returns the bytes of a tensor."""
        entry = self.entries[key]
        return self.shards[entry.shard_id][entry.offset : entry.offset + entry.size]

    def write(self, prefix, index=None):
        """Writes the files. `index` replaces the bytes of the index if given."""
        if index is None:
            index = table([block(self.records())])
        pathlib.Path(f"{prefix}.index").write_bytes(index)
        for number, content in enumerate(self.shards):
            shard_path(prefix, number, len(self.shards)).write_bytes(content)


def shard_path(prefix, number=0, count=1):
    return pathlib.Path(f"{prefix}.data-{number:05d}-of-{count:05d}")


def index_path(prefix):
    return pathlib.Path(f"{prefix}.index")
