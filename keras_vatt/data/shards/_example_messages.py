"""The protocol buffers of `tf.train.SequenceExample`, without TensorFlow.

The wire format is the same. Only the values of `FloatList` are declared as bytes: a
packed list of floats is encoded like bytes, and NumPy reads those without a Python
object for each of the 48,000 samples of a second.
"""

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_PACKAGE = "keras_vatt.example"
_FIELD = descriptor_pb2.FieldDescriptorProto


def _field(message, name, number, kind, type_name=None, repeated=False):
    label = _FIELD.LABEL_REPEATED if repeated else _FIELD.LABEL_OPTIONAL
    field = message.field.add(name=name, number=number, type=kind, label=label)
    if type_name is not None:
        field.type_name = f".{_PACKAGE}.{type_name}"
    return field


def _map_of(file, message, field, value):
    """Adds a message with one field, a map from strings to messages."""
    holder = file.message_type.add(name=message)
    entry_name = f"{field.title().replace('_', '')}Entry"
    entry = holder.nested_type.add(name=entry_name)
    entry.options.map_entry = True
    _field(entry, "key", 1, _FIELD.TYPE_STRING)
    _field(entry, "value", 2, _FIELD.TYPE_MESSAGE, value)
    kind = f"{message}.{entry_name}"
    _field(holder, field, 1, _FIELD.TYPE_MESSAGE, kind, repeated=True)


def _file():
    file = descriptor_pb2.FileDescriptorProto(
        name="keras_vatt/example.proto", package=_PACKAGE, syntax="proto3"
    )
    values = file.message_type.add(name="BytesList")
    _field(values, "value", 1, _FIELD.TYPE_BYTES, repeated=True)
    values = file.message_type.add(name="FloatList")
    _field(values, "packed", 1, _FIELD.TYPE_BYTES)
    values = file.message_type.add(name="Int64List")
    _field(values, "value", 1, _FIELD.TYPE_INT64, repeated=True)
    feature = file.message_type.add(name="Feature")
    feature.oneof_decl.add(name="kind")
    lists = (("bytes_list", "BytesList"), ("float_list", "FloatList"))
    for number, (name, kind) in enumerate((*lists, ("int64_list", "Int64List")), 1):
        _field(feature, name, number, _FIELD.TYPE_MESSAGE, kind).oneof_index = 0
    _map_of(file, "Features", "feature", "Feature")
    steps = file.message_type.add(name="FeatureList")
    _field(steps, "feature", 1, _FIELD.TYPE_MESSAGE, "Feature", repeated=True)
    _map_of(file, "FeatureLists", "feature_list", "FeatureList")
    example = file.message_type.add(name="SequenceExample")
    _field(example, "context", 1, _FIELD.TYPE_MESSAGE, "Features")
    _field(example, "feature_lists", 2, _FIELD.TYPE_MESSAGE, "FeatureLists")
    return file


_POOL = descriptor_pool.DescriptorPool()
_POOL.Add(_file())

SequenceExample = message_factory.GetMessageClass(
    _POOL.FindMessageTypeByName(f"{_PACKAGE}.SequenceExample")
)
