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


def is_sharded(source: str) -> bool:
    """Returns whether a path, URL or pattern stands for shards.

    These are a folder with shards, one shard, a pattern such as
    `"shards/train-*.tar"`, or a name such as `"tables/train@100"`.

    Args:
        source: str.

    Raises:
        RemoteFileError: If a store can't be reached.
    """
    folder, pattern = _folder_and_pattern(source)
    if pattern is not None:
        return True
    if _is_shard(source):
        return True
    names = _files_in(folder)
    if TABLE in names:
        return True
    return not _is_corpus(names) and any(map(_looks_like_a_shard, names))


def find_shards(source: str) -> FoundShards:
    """Finds the shards of a dataset and counts their records.

    Args:
        source: str, see `is_sharded`.

    Returns:
        `FoundShards`. The shards that a prepared dataset should have are listed even if
        they are missing, so that the numbers of the other records stay the same.

    Raises:
        ShardError: If there are no shards, or the table of the dataset is damaged.
        RemoteFileError: If a store can't be reached.
    """
    folder, pattern = _folder_and_pattern(source)
    if pattern is None and _is_shard(source):
        folder, _, pattern = source.rpartition("/")
        folder = folder or "."
    sizes = _files_in(folder)
    if pattern is None:
        table = read_table(folder) if TABLE in sizes else None
        if table is not None:
            return _prepared(folder, table, sizes)
        names = [name for name in sizes if _looks_like_a_shard(name)]
    else:
        names = [
            name
            for name in sizes
            if fnmatch.fnmatchcase(name, pattern) and not name.endswith(index_name(""))
        ]
    if not names:
        raise ShardError(f"there are no shards in {source!r}")
    found = _foreign(folder, sorted(names))
    found.findings += _gaps(folder, names)
    return found


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
            problem = _problem_of(entry, sizes)
            if problem is not None:
                where = join(folder, entry.name)
                found.findings.append(Finding(*problem(where), split))
    return found


def _problem_of(entry, sizes):
    """Returns a function that makes the arguments of a finding, or `None`."""
    if entry.name not in sizes:
        reason = f"is missing, with its {entry.records} clips"
        return lambda where: (Problem.MISSING, where, reason)
    size = sizes[entry.name]
    if size != entry.size:
        reason = f"has {size} bytes instead of {entry.size}: some clips can't be read"
        return lambda where: (Problem.CORRUPT, where, reason)
    return None


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
    if not any(
        shard.records for of_split in found.splits.values() for shard in of_split
    ):
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
    """Returns the folder, and the pattern of names if the source is one."""
    sharded = _SHARDED_NAME.fullmatch(source)
    if sharded is not None and not os.path.exists(source):
        name, count = sharded[1], int(sharded[2])
        source = f"{name}-?????-of-{count:05d}*"
    parent, slash, last = source.rpartition("/")
    if any(sign in last for sign in "*?[") and not os.path.exists(source):
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
