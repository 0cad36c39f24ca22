"""Finds the shards of a dataset: prepared ones, and those of other tools."""

from __future__ import annotations

import collections
import concurrent.futures
import dataclasses
import fnmatch
import os
import pathlib
import re
from collections.abc import Iterable

from keras_vatt._remote_files import RemoteFileError, is_remote, list_files
from keras_vatt.data._manifest import MANIFEST_NAMES
from keras_vatt.data._report import Finding, Problem
from keras_vatt.data._split_names import split_of_name
from keras_vatt.data.decoding._media_suffixes import VIDEO_SUFFIXES
from keras_vatt.data.shards._errors import ShardError
from keras_vatt.data.shards._formats import FORMATS, format_by_name, format_of
from keras_vatt.data.shards._shard_index import TABLE, index_name, join, read_table
from keras_vatt.data.shards._shards import Shard

# `name@10` stands for `name-00000-of-00010` and so on, as in VATT's data pipeline.
_SHARDED_NAME = re.compile(r"(.+)@(\d+)")
_NUMBERED = re.compile(r"(.+)-(\d{5})-of-(\d{5})(\.\w+)?")
_MOST_NUMBERED = 100_000
_NUM_WORKERS = 16


@dataclasses.dataclass
class FoundShards:
    """The shards of a dataset, and what is wrong with them.

    Args:
        splits: dict from the name of a split to a list of `Shard`.
        findings: list of `Finding`.
    """

    splits: dict[str, list[Shard]]
    findings: list[Finding]


def find_shards(source: str) -> FoundShards | None:
    """Finds the shards of a dataset and counts their records.

    Args:
        source: str. A path or URL: a folder with shards, one shard, a pattern such as
            `"shards/train-*.tar"`, or a name such as `"tables/train@100"`.

    Returns:
        `FoundShards`, or `None` if the source is something else. The shards that a
        prepared dataset should have are listed even if they are missing, so that the
        numbers of the other records stay the same.

    Raises:
        ShardError: If no shard has the name or can be read, or the table of the dataset
            is damaged.
        RemoteFileError: If a store can't be reached.
    """
    folder, pattern = _folder_and_pattern(source)
    sizes = _files_in(folder)
    if pattern is not None:
        names = [name for name in sizes if _is_meant(name, pattern)]
        if not names:
            raise ShardError(f"there are no shards in {source!r}")
    elif TABLE in sizes:
        return _prepared(folder, read_table(folder), sizes)
    elif _is_corpus(sizes):
        return None
    else:
        names = [name for name in sizes if _looks_like_a_shard(name)]
        if not names:
            return None
    found = _foreign(folder, sorted(names))
    found.findings += _gaps(folder, names)
    return found


def is_pattern(source: str) -> bool:
    """Returns whether a source names shards by a pattern, `@` or a single one."""
    return _folder_and_pattern(source)[1] is not None


def _is_meant(name, pattern):
    is_index = name.endswith(index_name(""))
    return fnmatch.fnmatchcase(name, pattern) and not is_index


def _gaps(folder, names):
    """Returns findings on shards that numbered names promise and that are missing."""
    numbered = collections.defaultdict(set)
    for match in filter(None, map(_NUMBERED.fullmatch, names)):
        numbered[match[1], int(match[3]), match[4] or ""].add(int(match[2]))
    return [
        Finding(
            Problem.MISSING,
            join(folder, f"{stem}-{number:05d}-of-{count:05d}{end}"),
            "does not exist",
        )
        for (stem, count, end), numbers in numbered.items()
        if count <= _MOST_NUMBERED
        for number in sorted(set(range(count)) - numbers)
    ]


def _prepared(folder, table, sizes):
    if table.format not in FORMATS:
        raise ShardError(
            f"{join(folder, TABLE)} names the unknown format {table.format!r}"
        )
    found = FoundShards({}, [])
    for split, entries in table.splits.items():
        found.splits[split] = [
            Shard(folder, entry.name, table.format, entry.records, has_index=True)
            for entry in entries
        ]
        for entry in entries:
            problem, reason = _problem_of(entry, sizes)
            if problem is not None:
                where = join(folder, entry.name)
                found.findings.append(Finding(problem, where, reason, split))
    return found


def _problem_of(entry, sizes):
    """Returns the `Problem` of a shard and its reason, or `None` twice."""
    size = sizes.get(entry.name)
    if size is None:
        return Problem.MISSING, f"is missing, with its {entry.records} clips"
    if size != entry.size:
        reason = f"has {size} bytes instead of {entry.size}: some clips can't be read"
        return Problem.CORRUPT, reason
    return None, None


def _foreign(folder, names):
    found = FoundShards(collections.defaultdict(list), [])
    with concurrent.futures.ThreadPoolExecutor(_NUM_WORKERS) as pool:
        counted = list(pool.map(lambda name: _count(folder, name), names))
    for name, (shard, finding) in zip(names, counted, strict=True):
        if shard is not None:
            found.splits[split_of_name(name)].append(shard)
        if finding is not None:
            found.findings.append(finding)
    found.splits = dict(found.splits)
    if not any(shard.records for shard, _ in counted if shard is not None):
        if not found.findings:
            raise ShardError(f"the shards in {folder!r} are empty")
        first = found.findings[0]
        raise ShardError(f"no shard can be read; {first.where}: {first.reason}")
    return found


def _count(folder, name):
    """Returns a `Shard` or `None`, and a `Finding` or `None`."""
    place = join(folder, name)
    try:
        kind = format_of(place)
        if kind is None:
            return None, Finding(Problem.CORRUPT, place, "is in no known format")
        records = FORMATS[kind].open(place, None)
    except FileNotFoundError:
        return None, Finding(Problem.MISSING, place, "does not exist")
    except RemoteFileError:
        # Not left out: a resumed run would number the other clips differently.
        raise
    except (OSError, ValueError) as error:
        return None, Finding(Problem.CORRUPT, place, f"can't be read: {error}")
    shard = Shard(folder, name, kind, len(records), has_index=False)
    if records.damage is None:
        return shard, None
    return shard, Finding(Problem.CORRUPT, place, f"can't be read: {records.damage}")


def _folder_and_pattern(source):
    """Returns the folder, and the pattern of names if the source is no folder."""
    sharded = _SHARDED_NAME.fullmatch(source)
    if sharded is not None and not os.path.exists(source):
        name, count = sharded[1], int(sharded[2])
        source = f"{name}-?????-of-{count:05d}*"
    parent, slash, last = source.rpartition("/")
    is_pattern = any(sign in last for sign in "*?[") and not os.path.exists(source)
    if is_pattern or _is_shard(source):
        return parent or ("/" if slash else "."), last
    return source, None


def _is_shard(source):
    """Returns whether a path or URL is that of a single shard."""
    if format_by_name(source) is not None:
        return True
    name = source.rpartition("/")[2]
    return _NUMBERED.fullmatch(name) is not None and not os.path.isdir(source)


def _is_corpus(names):
    """Returns whether a folder is a corpus: it has videos or a manifest."""
    suffixes = {pathlib.PurePath(name).suffix.lower() for name in names}
    return bool(suffixes & VIDEO_SUFFIXES) or not names.keys().isdisjoint(
        MANIFEST_NAMES
    )


def _looks_like_a_shard(name):
    return not name.startswith(".") and (
        format_by_name(name) is not None or _NUMBERED.fullmatch(name) is not None
    )


def _files_in(folder) -> dict[str, int]:
    """Returns the names and sizes of the files of a local or remote folder."""
    if is_remote(folder):
        prefix = folder.rstrip("/") + "/"
        try:
            found = list_files(folder)
        except FileNotFoundError:
            return {}
        names = {url.removeprefix(prefix): size for url, size in found.items()}
        return {name: size for name, size in names.items() if "/" not in name}
    if not os.path.isdir(folder):
        return {}
    paths: Iterable[pathlib.Path] = pathlib.Path(folder).iterdir()
    return {path.name: path.stat().st_size for path in paths if path.is_file()}
