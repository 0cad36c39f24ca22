"""Results of runs, one JSON object per line, in files that are committed."""

import dataclasses
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from json_lines import add_line, read_lines  # noqa: E402

RECORDS = pathlib.Path(__file__).parent / "records"


def read_records(folder=RECORDS):
    """Returns a dict from the key of a run to its results.

    A run that several experiments have in common is stored once.
    """
    return {
        _key(record["run"]): record["results"]
        for path in sorted(folder.glob("*.jsonl"))
        for record in read_lines(path)
    }


def add_record(name, run, results, folder=RECORDS):
    """Appends the results of a run to the file of an experiment."""
    folder.mkdir(parents=True, exist_ok=True)
    record = {"run": dataclasses.asdict(run), "results": results}
    add_line(folder / f"{name}.jsonl", record)


def key_of(run):
    """Returns the key of a `Run` in the result of `read_records`."""
    return _key(dataclasses.asdict(run))


def _key(run):
    return json.dumps(run, sort_keys=True)
