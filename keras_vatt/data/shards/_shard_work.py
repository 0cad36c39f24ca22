"""Writes one shard: the unit of work that is resumed, retried and distributed."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import tempfile
from collections.abc import Callable

import google_crc32c

from keras_vatt._files import atomic_write
from keras_vatt._os_errors import os_errors_at
from keras_vatt._remote_files import file_size, is_remote, upload
from keras_vatt.data._report import Finding
from keras_vatt.data.decoding._file_errors import MediaError, any_error_of
from keras_vatt.data.shards._errors import ShardError
from keras_vatt.data.shards._formats import FORMATS
from keras_vatt.data.shards._jobs import Job
from keras_vatt.data.shards._record_files import file_checksum
from keras_vatt.data.shards._shard_index import (
    ShardEntry,
    index_name,
    join,
    read_json,
    save_json,
)
from keras_vatt.data.shards._stored_form import StoredForm


@dataclasses.dataclass(frozen=True)
class ShardWork:
    """The jobs whose clips make up one shard.

    Args:
        folder: str. Path or URL of the dataset.
        name: str. Name of the shard.
        format: str. A key of `FORMATS`.
        split: str.
        jobs: Tuple of `Job`.
        form: `StoredForm`.
        on_error: str. `"skip"` or `"raise"`.
        fingerprint: str. Digest of all that the shard depends on.
    """

    folder: str
    name: str
    format: str
    split: str
    jobs: tuple[Job, ...]
    form: StoredForm
    on_error: str
    fingerprint: str


@dataclasses.dataclass(frozen=True)
class ShardResult:
    """A shard that is written.

    Args:
        split: str.
        entry: `ShardEntry`.
        findings: Tuple of `Finding`.
    """

    split: str
    entry: ShardEntry
    findings: tuple[Finding, ...]


def finished(work: ShardWork) -> ShardResult | None:
    """Returns the result of a shard that an earlier run has written, or `None`."""
    try:
        content = read_json(work.folder, index_name(work.name))
    except ShardError:  # A damaged one is written again.
        return None
    if content is None or content.get("fingerprint") != work.fingerprint:
        return None
    try:
        entry = ShardEntry(**content["entry"])
        findings = tuple(map(Finding.from_dict, content["findings"]))
        place = join(work.folder, work.name)
        size = file_size(place) if is_remote(place) else os.path.getsize(place)
    except (LookupError, TypeError, ValueError, FileNotFoundError):
        return None
    return ShardResult(work.split, entry, findings) if size == entry.size else None


def write_shard(
    work: ShardWork, progress: Callable[[], None] = lambda: None
) -> ShardResult:
    """Writes one shard and its index, unless an earlier run has written it.

    The index is written last, and both atomically: a killed process leaves nothing that
    is taken for a shard. The same work gives the same bytes.

    Args:
        work: `ShardWork`.
        progress: Function that is called after each job.

    Returns:
        `ShardResult`.

    Raises:
        MediaError: If a clip can't be decoded and `on_error` is `"raise"`.
        OSError: If the shard can't be written.
    """
    result = finished(work)
    if result is not None:
        for _ in work.jobs:
            progress()
        return result
    place = join(work.folder, work.name)
    if not is_remote(place):
        with atomic_write(place) as partial:
            result, index = _write(work, partial, progress)
    else:
        with tempfile.TemporaryDirectory() as scratch:
            path = pathlib.Path(scratch) / work.name
            with os_errors_at(path):
                result, index = _write(work, path, progress)
            upload(path, place)
    save_json(work.folder, index_name(work.name), index)
    return result


def _write(work, path, progress):
    """Writes the file of a shard; returns its result and the content of its index."""
    form = FORMATS[work.format]
    writer = form.writer(path)
    checksums, captions, findings = [], [], []
    stem = work.name.removesuffix(form.suffix)
    try:
        for clip in _clips(work, findings, progress):
            name = f"{stem}-{len(checksums):06d}"
            record = _packed(work, clip, name, findings)
            if record is None:
                continue
            writer.write(record)
            checksums.append(google_crc32c.value(record))
            captions.append(clip.captions[0] if clip.captions else "")
    finally:
        writer.close()
    entry = ShardEntry(
        work.name, len(checksums), path.stat().st_size, file_checksum(str(path))
    )
    found = [dataclasses.replace(finding, split=work.split) for finding in findings]
    index = {
        "fingerprint": work.fingerprint,
        "entry": dataclasses.asdict(entry),
        "findings": [dataclasses.asdict(finding) for finding in found],
        "offsets": writer.offsets,
        "checksums": checksums,
        "captions": captions,
    }
    return ShardResult(work.split, entry, tuple(found)), index


def _packed(work, clip, name, findings):
    """Returns the record of a clip, or `None` and a finding if it can't be stored."""
    where = f"{clip.name} from {clip.start} s"
    try:
        with any_error_of(where):
            return FORMATS[work.format].pack(clip, name)
    except MediaError as error:
        if work.on_error == "raise":
            raise
        reason = error.reason.replace("decoded", "stored")
        findings.append(Finding(error.problem, where, reason))
        return None


def _clips(work, findings, progress):
    for job in work.jobs:
        try:
            yield from job.clips(work.form, findings.append)
        except MediaError as error:
            if work.on_error == "raise":
                raise
            findings.append(Finding(error.problem, str(error.path), error.reason))
        progress()
