"""The protocol buffer messages in the index of a TensorFlow checkpoint.

These are TensorFlow's messages (tensorflow/core/protobuf/tensor_bundle.proto) without
the fields that are not needed, which the parser skips. They are defined here because
TensorFlow's own classes require an import of TensorFlow.
"""

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_Field = descriptor_pb2.FieldDescriptorProto
_PACKAGE = "keras_vatt"
_SCALARS = {
    "bool": _Field.TYPE_BOOL,
    "fixed32": _Field.TYPE_FIXED32,
    # Also for enumerations, as int32 accepts values that the enumeration doesn't name.
    "int32": _Field.TYPE_INT32,
    "int64": _Field.TYPE_INT64,
}
# The fields of each message: number, name, type, and whether the field is repeated.
_MESSAGES = {
    "Version": [(2, "min_consumer", "int32", False)],
    "Header": [
        (1, "num_shards", "int32", False),
        (2, "endianness", "int32", False),
        (3, "version", "Version", False),
    ],
    "Dimension": [(1, "size", "int64", False)],
    "Shape": [
        (2, "dim", "Dimension", True),
        (3, "unknown_rank", "bool", False),
    ],
    "Slice": [],
    "Entry": [
        (1, "dtype", "int32", False),
        (2, "shape", "Shape", False),
        (3, "shard_id", "int32", False),
        (4, "offset", "int64", False),
        (5, "size", "int64", False),
        (6, "crc32c", "fixed32", False),
        (7, "slices", "Slice", True),
    ],
}


def _message_classes():
    file = descriptor_pb2.FileDescriptorProto(
        name="keras_vatt/bundle.proto", package=_PACKAGE, syntax="proto3"
    )
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, field, kind, is_repeated in fields:
            message.field.add(
                number=number,
                name=field,
                type=_SCALARS.get(kind, _Field.TYPE_MESSAGE),
                type_name=None if kind in _SCALARS else f".{_PACKAGE}.{kind}",
                label=_Field.LABEL_REPEATED if is_repeated else _Field.LABEL_OPTIONAL,
            )
    # A separate pool avoids name conflicts with other libraries in the default pool.
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(
            pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")
        )
        for name in ("Header", "Entry")
    }


_CLASSES = _message_classes()
Header = _CLASSES["Header"]
Entry = _CLASSES["Entry"]
