"""Preparation of a dataset: from raw files and captions to shards."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
from collections.abc import Sequence

import filelock
import tqdm

from keras_vatt._choices import check_choice
from keras_vatt._remote_files import is_remote, list_files
from keras_vatt.data._captions import CaptionOrder
from keras_vatt.data._manifest import Segment, read_corpus
from keras_vatt.data._report import CorpusReport, Finding, first_reasons
from keras_vatt.data._splits import divide
from keras_vatt.data.decoding._file_errors import MediaError, check_on_error
from keras_vatt.data.shards._engines import (
    ENGINES,
    write_with_ray,
    write_with_threads,
)
from keras_vatt.data.shards._errors import ShardError
from keras_vatt.data.shards._formats import FORMATS
from keras_vatt.data.shards._jobs import Job, RecordJob, SegmentJob, local_stamp
from keras_vatt.data.shards._records import hold_out, open_if_records
from keras_vatt.data.shards._shard_index import (
    VERSION,
    DatasetTable,
    index_name,
    read_json,
    read_table,
    save_json,
    write_table,
)
from keras_vatt.data.shards._shard_work import ShardWork
from keras_vatt.data.shards._stored_form import StoredForm

PLAN, REPORT = "prepare.json", "report.json"
_LOCK = ".prepare.lock"


def prepare_shards(
    source: str | os.PathLike[str],
    output: str | os.PathLike[str],
    format: str = "arrayrecord",
    num_shards: int = 16,
    form: StoredForm | None = None,
    test_fraction: float = 0.0,
    seed: int = 0,
    allow_outside: bool = False,
    caption_language: str = "en",
    stored_frames_per_second: float = 10.0,
    stored_sampling_rate: int = 48_000,
    on_error: str = "skip",
    num_workers: int | None = None,
    engine: str = "local",
    address: str | None = None,
    progress: bool = True,
) -> CorpusReport:
    """Writes the clips of a dataset to shards.

    Each clip is stored as JPEG frames, a 16-bit waveform and captions, see
    `StoredForm`. The content is the same in all formats:

    | format | files | for |
    |---|---|---|
    | `arrayrecord` | `SequenceExample`s in ArrayRecord | Grain: fast random access |
    | `tfrecord` | the same in TFRecord, the layout of DMVR | `tf.data`, VATT's tools |
    | `webdataset` | tar files with `.jpg`, `.wav` and `.json` | WebDataset, PyTorch |

    The folder also gets `dataset.json`, the table of the shards with their sizes and
    checksums; an index per shard; and `report.json`, which names everything that was
    skipped, and why.

    Shards are written one after the other by each worker. A run that was interrupted
    resumes with the same call: only shards that are not complete are written again.

    Args:
        source: str or path. A corpus, see `keras_vatt.data.read_corpus`; shards, to
            convert them; or a dataset of the Hugging Face `datasets` library.
        output: str or path of a folder, or its URL (`gs://`, `s3://`, `hf://`).
        format: str. `"arrayrecord"`, `"webdataset"` or `"tfrecord"`. Defaults to
            `"arrayrecord"`.
        num_shards: int. Number of shards of the largest split; others have shards of
            about the same size. Defaults to `16`.
        form: `StoredForm`. Defaults to `None`, 10 frames per second of 256 pixels.
        test_fraction: float. Fraction of the files whose clips become the `test`
            split, if the source has none. Defaults to `0.0`.
        seed: int. Seed of that choice. Defaults to `0`.
        allow_outside: bool, see `keras_vatt.data.read_corpus`. Defaults to `False`.
        caption_language: str, see `keras_vatt.data.read_corpus`. Defaults to `"en"`.
        stored_frames_per_second: float. Rate of the frames in shards of other tools
            that don't tell it, see `open_records`. Defaults to `10.0`.
        stored_sampling_rate: int. Rate of their audio, in hertz. Defaults to `48_000`.
        on_error: str. `"skip"` skips clips that can't be used and reports them,
            `"raise"` ends the run. Defaults to `"skip"`.
        num_workers: int. Shards that are written at the same time by the engine
            `"local"`. Defaults to `None`, the number of processors.
        engine: str. `"local"`, or `"ray"` for a cluster with Ray Data
            (`pip install "keras-vatt[ray]"`), whose nodes see the source and the
            output under the same names. The shards are the same. Defaults to
            `"local"`.
        address: str. Address of the Ray cluster. Defaults to `None`, one on this
            machine.
        progress: bool. Whether to show a progress bar. Defaults to `True`.

    Returns:
        `keras_vatt.data.CorpusReport`, with the number of clips per split.

    Raises:
        ShardError: If an argument is invalid, no clip can be used, or the output
            has shards of another run.
        MediaError: If a clip can't be used and `on_error` is `"raise"`.

    Example:
    ```python
    from keras_vatt.data import make_demo_corpus, prepare_shards

    corpus = make_demo_corpus("demo", train_clips=2, test_clips=2, progress=False)
    print(prepare_shards(corpus, "demo-shards", num_shards=2, progress=False))
    # clips used: 4 (2 train, 2 test)
    ```
    """
    check_choice("format", format, FORMATS)
    check_choice("engine", engine, ENGINES)
    check_on_error(on_error)
    if num_shards < 1 or not 0 <= test_fraction < 1:
        raise ShardError(
            "`num_shards` must be at least 1 and `test_fraction` in [0, 1). Received: "
            f"{num_shards} and {test_fraction}"
        )
    form, output = form or StoredForm(), os.fspath(output)
    source = os.fspath(source)
    opened = open_if_records(source, stored_frames_per_second, stored_sampling_rate)
    if opened is not None:
        splits, findings = _record_jobs(opened.splits, test_fraction), opened.findings
    else:
        segments, findings = read_corpus(source, allow_outside, caption_language)
        train, test = divide(segments, test_fraction, seed)
        splits = {
            "train": _segment_jobs(train, form),
            "test": _segment_jobs(test, form),
        }
    splits = {split: jobs for split, jobs in splits.items() if jobs}
    _raise_first(findings, on_error)
    if not splits:
        reasons = first_reasons(findings)
        raise ShardError(f"there are no clips in {source!r}. {reasons}".strip())
    if not is_remote(output):
        pathlib.Path(output).mkdir(parents=True, exist_ok=True)
    with _lock(output):
        works = _plan(splits, output, format, num_shards, form, on_error)
        _check_plan(output, works)
        with tqdm.tqdm(
            total=sum(map(len, splits.values())),
            desc="preparing clips",
            unit="clip",
            disable=not progress,
        ) as bar:
            results = (
                write_with_ray(works, address, bar.update)
                if engine == "ray"
                else write_with_threads(works, num_workers, bar.update)
            )
            by_name = {result.entry.name: result for result in results}
        done = [by_name[work.name] for work in works]
        return _finish(output, format, form, done, findings)


def _record_jobs(splits, test_fraction):
    """Returns the jobs of each split of stored clips."""
    if "test" not in splits:
        splits = hold_out(splits["train"], test_fraction)
    return {
        split: [RecordJob(records, index) for index in range(len(records))]
        for split, records in splits.items()
    }


def _segment_jobs(segments: Sequence[Segment], form) -> list[Job]:
    of_file = collections.defaultdict(list)
    for segment in segments:
        of_file[segment.path].append(segment)
    jobs = []
    for neighbors in of_file.values():
        order = CaptionOrder(neighbors)
        for index, segment in enumerate(neighbors):
            captions = dict.fromkeys(order.nearest(index, form.candidates))
            jobs.append(SegmentJob(segment, tuple(captions)))
    return jobs


def _plan(splits, output, format, num_shards, form, on_error):
    """Divides the jobs of each split into consecutive parts, one per shard."""
    local_stamp.cache_clear()  # Of an earlier run in this process.
    largest = max(map(len, splits.values()))
    works = []
    for split, jobs in splits.items():
        count = min(max(1, round(num_shards * len(jobs) / largest)), len(jobs))
        bounds = [len(jobs) * k // count for k in range(count + 1)]
        for number in range(count):
            part = tuple(jobs[bounds[number] : bounds[number + 1]])
            name = f"{split}-{number:05d}-of-{count:05d}{FORMATS[format].suffix}"
            fingerprint = _fingerprint(format, form, on_error, part)
            works.append(
                ShardWork(
                    output, name, format, split, part, form, on_error, fingerprint
                )
            )
    return works


def _fingerprint(format, form, on_error, jobs):
    described = [job.describe() for job in jobs]
    content = [VERSION, format, dataclasses.asdict(form), on_error, described]
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _check_plan(output, works):
    """Raises an error if the folder has a dataset of another plan, or other files."""
    names = {work.name: work.fingerprint for work in works}
    digest = hashlib.sha256(json.dumps(names, sort_keys=True).encode()).hexdigest()
    plan = read_json(output, PLAN)
    if plan is None and not _is_free(output):
        raise ShardError(f"{output!r} is not empty: choose another output folder")
    is_same = plan is not None and plan.get("fingerprint") == digest
    if not is_same and read_table(output) is not None:
        raise ShardError(
            f"{output!r} has a dataset of another source, or with other settings: "
            "choose another output folder"
        )
    if not is_same:
        save_json(output, PLAN, {"fingerprint": digest})


def _is_free(output):
    if is_remote(output):
        try:
            return not list_files(output)
        except FileNotFoundError:
            return True
    return all(path.name == _LOCK for path in pathlib.Path(output).iterdir())


def _finish(output, format, form, results, findings):
    splits = collections.defaultdict(list)
    for result in results:
        splits[result.split].append(result.entry)
    table = DatasetTable(
        format,
        {split: tuple(entries) for split, entries in splits.items()},
        dataclasses.asdict(form),
    )
    used = {
        split: sum(entry.records for entry in entries)
        for split, entries in splits.items()
    }
    found = (*findings, *(f for result in results for f in result.findings))
    report = CorpusReport(sum(used.values()), found, used)
    if not report.used:
        reasons = first_reasons(found)
        raise ShardError(f"no clip of the source can be used. {reasons}")
    save_json(output, REPORT, report.to_dict())
    # Last: a folder with a table is complete.
    write_table(output, table)
    _remove_others(output, table)
    return report


def _remove_others(output, table):
    """Removes shards of an interrupted run with another plan."""
    if is_remote(output):
        return
    names = {entry.name for entries in table.splits.values() for entry in entries}
    for path in pathlib.Path(output).glob(index_name("*")):
        shard = path.with_name(path.name.removesuffix(index_name("")))
        if shard.name not in names:
            path.unlink()
            shard.unlink(missing_ok=True)


def _raise_first(findings: Sequence[Finding], on_error):
    for finding in findings:
        if on_error == "raise" and finding.problem.consequence == "skipped":
            raise MediaError(finding.where, finding.problem, finding.reason)


@contextlib.contextmanager
def _lock(output):
    """Keeps other runs from writing to a local folder."""
    if is_remote(output):
        yield
        return
    try:
        with filelock.FileLock(pathlib.Path(output) / _LOCK, timeout=0):
            yield
    except filelock.Timeout as error:
        raise ShardError(f"another run is writing to {output!r}") from error
