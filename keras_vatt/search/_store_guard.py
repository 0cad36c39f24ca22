"""Checks of a local vector store that a stranger may have made.

LanceDB follows links, waits for pipes, and opens the base paths that a manifest names,
wherever they lie. So a store is checked before it is opened.
"""

import os
import pathlib
import struct

from google.protobuf import empty_pb2, message, unknown_fields

from keras_vatt._untrusted import contained_path, regular_file
from keras_vatt.search._errors import MediaIndexError

# A manifest takes a few hundred bytes per fragment of its table.
_MAX_MANIFEST_BYTES = 256_000_000

# `base_paths` of the message `Manifest` of the Lance table format: folders outside of
# the table in which its files lie.
_BASE_PATHS = 18

# The end of a manifest: the position of its message, the version, and a magic number.
_FOOTER = struct.Struct("<QHH4s")
_MAGIC = b"LANC"


def check_local_table(folder: pathlib.Path, name: str) -> None:
    """Refuses a table of which any file lies outside of its folder.

    Args:
        folder: `pathlib.Path` of the index.
        name: string. The name of the table's folder in it.

    Raises:
        MediaIndexError: if the table has links out of the folder, links to folders,
            pipes, devices, or manifests that name other folders.
    """
    root = folder / name
    if contained_path(folder, name, MediaIndexError) is None:
        return
    if root.is_symlink() or not root.is_dir():
        raise MediaIndexError(f"{str(root)!r} can't be read: it is no folder.")
    for parent, folders, files in os.walk(root):
        for inner in folders:
            if os.path.islink(os.path.join(parent, inner)):
                raise MediaIndexError(
                    f"{os.path.join(parent, inner)!r} can't be read: it is a link."
                )
        for file in files:
            path = pathlib.Path(parent, file).relative_to(folder)
            if regular_file(folder, path, MediaIndexError) is None:
                continue  # Another process has removed it meanwhile.
            if path.suffix == ".manifest":
                _check_manifest(folder, path)


def _check_manifest(folder, path):
    path = regular_file(folder, path, MediaIndexError, _MAX_MANIFEST_BYTES)
    try:
        fields = _fields_of(path.read_bytes())
    except (OSError, ValueError, struct.error, message.DecodeError) as error:
        raise MediaIndexError(f"{str(path)!r} can't be read: {error}") from error
    if _BASE_PATHS in fields:
        raise MediaIndexError(
            f"{str(path)!r} can't be read: it leads out of the folder of the index."
        )


def _fields_of(content):
    """Returns the numbers of the fields that a manifest has."""
    start, _, _, magic = _FOOTER.unpack(content[-_FOOTER.size :])
    if magic != _MAGIC:
        raise ValueError("it is no manifest of a Lance table")
    (size,) = struct.unpack_from("<I", content, start)
    start += 4
    if start + size > len(content):
        raise ValueError("it is truncated")
    # Only the numbers matter: an empty message knows none of the fields.
    parsed = empty_pb2.Empty.FromString(content[start : start + size])
    return {field.field_number for field in unknown_fields.UnknownFieldSet(parsed)}
