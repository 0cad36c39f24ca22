"""Verification of the checksums of a prepared dataset."""

from __future__ import annotations

import os

import tqdm

from keras_vatt._remote_files import RemoteFileError
from keras_vatt.data._report import CorpusReport, Finding, Problem
from keras_vatt.data.shards._errors import ShardError
from keras_vatt.data.shards._record_files import file_checksum
from keras_vatt.data.shards._shard_index import TABLE, join, read_index, read_table


def verify_shards(
    folder: str | os.PathLike[str], progress: bool = True
) -> CorpusReport:
    """Reads all shards of a prepared dataset, compares checksums, and reads indexes.

    Args:
        folder: str or path of a folder that `prepare_shards` has written, or its URL.
        progress: bool. Whether to show a progress bar. Defaults to `True`.

    Returns:
        `keras_vatt.data.CorpusReport`, whose findings name the shards that are missing,
        can't be reached, or are damaged; `used` counts the clips of the others.

    Raises:
        ShardError: If the folder has no prepared dataset.

    Example:
    ```python
    from keras_vatt.data import make_demo_corpus, prepare_shards, verify_shards

    corpus = make_demo_corpus("demo", train_clips=2, test_clips=2, progress=False)
    prepare_shards(corpus, "demo-shards", num_shards=2, progress=False)
    verify_shards("demo-shards", progress=False).findings  # ()
    ```
    """
    folder = os.fspath(folder)
    table = read_table(folder)
    if table is None:
        raise ShardError(
            f"there is no {TABLE} in {folder!r}: it is not a dataset that `keras-vatt "
            "prepare` has completed"
        )
    used, findings = {}, []
    rows = [(split, entry) for split in table.splits for entry in table.splits[split]]
    for split, entry in tqdm.tqdm(rows, "verifying shards", disable=not progress):
        place = join(folder, entry.name)
        problem = _problem_of(place, entry) or _problem_of_index(folder, entry)
        if problem is None:
            used[split] = used.get(split, 0) + entry.records
        else:
            findings.append(Finding(problem[0], place, problem[1], split))
    return CorpusReport(sum(used.values()), tuple(findings), used)


def _problem_of(place, entry):
    try:
        if file_checksum(place) == entry.checksum:
            return None
    except FileNotFoundError:
        return Problem.MISSING, "does not exist"
    except RemoteFileError as error:
        return Problem.UNREACHABLE, error.reason
    except OSError as error:
        return Problem.CORRUPT, f"can't be read ({error.strerror})"
    except ValueError as error:
        return Problem.CORRUPT, f"can't be read ({error})"
    return Problem.CORRUPT, "has another checksum than when it was written"


def _problem_of_index(folder, entry):
    try:
        read_index(folder, entry.name, entry.records)
    except ShardError as error:
        return Problem.CORRUPT, str(error)
    except RemoteFileError as error:
        return Problem.UNREACHABLE, error.reason
    return None
