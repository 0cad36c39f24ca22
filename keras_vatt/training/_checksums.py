"""Checksums of all files of a training checkpoint."""

import hashlib
import json
import os
import pathlib
import stat

from keras_vatt._files import checksum, write_json

FILE_NAME = "checksums.json"
_METADATA = "_CHECKPOINT_METADATA"
# Kept in Orbax's metadata: without it, missing checksums are those of an old version.
PROMISE = {"checksums": FILE_NAME}
_MAX_BYTES = 64_000_000


def write_checksums(folder, step):
    """Write the checksums of all files of a checkpoint into its folder.

    Args:
        folder: path of the checkpoint.
        step: string, the name that the folder is going to have. A checkpoint that
            stands under another name is not the one that its name says.
    """
    folder = pathlib.Path(folder)
    record = {"step": step, "files": {}}
    for name, status in sorted(_entries(folder).items()):
        digest = checksum(folder / name)
        record["files"][name] = {"bytes": status.st_size, "sha256": digest}
    record["sha256"] = _own_digest(record)
    write_json(folder / FILE_NAME, record)


def has_checksums(folder):
    """Returns whether a checkpoint has checksums; those of earlier versions do not."""
    return os.path.lexists(pathlib.Path(folder) / FILE_NAME)


def find_damage(folder):
    """Compare the files of a checkpoint with their checksums.

    Every file is read. Pipes, devices and links are reported and never opened.

    Args:
        folder: path of the checkpoint, as it was named when it was written.

    Returns:
        String that names the first file which is missing, not as it was written, or
        not expected; `None` if there is none, or the checkpoint is of an earlier
        version, without checksums.
    """
    folder = pathlib.Path(folder)
    try:
        if has_checksums(folder):
            return _first_difference(folder, _read_record(folder))
        if _promises_checksums(folder):
            return f"{str(folder / FILE_NAME)!r} is missing"
    except _Damage as damage:
        return str(damage)
    except OSError as error:
        return f"{str(error.filename or folder)!r} can't be read: {error.strerror}"
    return None


class _Damage(Exception):  # noqa: N818
    """Says which file is damaged."""


def _first_difference(folder, record):
    if record["step"] != folder.name:
        return (
            f"{str(folder)!r} is not the checkpoint of step {folder.name}: it was "
            f"written as that of step {record['step']}"
        )
    entries, expected = _entries(folder), record["files"]
    entries.pop(FILE_NAME)
    for name in sorted(entries.keys() ^ expected.keys()):
        what = "is missing" if name in expected else "does not belong there"
        return f"{str(folder / name)!r} {what}"
    # The sizes first, which are known at once.
    for name, entry in expected.items():
        size = entries[name].st_size
        if size != entry["bytes"]:
            written = f"{entry['bytes']:,} bytes were written"
            return f"{str(folder / name)!r} has {size:,} bytes, {written}"
    for name, entry in expected.items():
        if checksum(folder / name) != entry["sha256"]:
            return f"{str(folder / name)!r} is not as it was written"
    return None


def _entries(folder):
    """The files of a folder: dict from relative path to its `os.stat_result`."""
    entries = {}
    for parent, folders, names in os.walk(folder, onerror=_raise):
        for name in (*names, *(n for n in folders if _is_link(parent, n))):
            path = pathlib.Path(parent, name)
            status = path.lstat()
            if not stat.S_ISREG(status.st_mode):
                raise _Damage(f"{str(path)!r} is no regular file")
            entries[path.relative_to(folder).as_posix()] = status
    return entries


def _is_link(parent, name):
    return os.path.islink(os.path.join(parent, name))


def _raise(error):
    raise error


def _read_record(folder):
    path = folder / FILE_NAME
    record = _read_json(path)
    try:
        if record.pop("sha256") == _own_digest(record):
            return record
    except (AttributeError, KeyError, TypeError):  # It holds something else.
        pass
    raise _Damage(f"{str(path)!r} is not as it was written")


def _own_digest(record):
    """Returns the digest that tells damage of the record itself from that of files."""
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def _promises_checksums(folder):
    metadata = _read_json(folder / _METADATA)
    custom = metadata.get("custom_metadata") if isinstance(metadata, dict) else None
    return isinstance(custom, dict) and PROMISE.items() <= custom.items()


def _read_json(path):
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode):
        raise _Damage(f"{str(path)!r} is no regular file")
    if status.st_size > _MAX_BYTES:
        raise _Damage(f"{str(path)!r} has {status.st_size:,} bytes")
    try:
        return json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise _Damage(f"{str(path)!r} is not as it was written") from error
