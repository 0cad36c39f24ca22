"""Results of runs, one JSON object per line, in files that are committed."""

import dataclasses
import json
import os
import pathlib

RECORDS = pathlib.Path(__file__).parent / "records"


def read_records(folder=RECORDS):
    """Returns a dict from the key of a run to its results.

    A run that several experiments have in common is stored once. A line that was cut
    off by a stop is ignored.
    """
    records = {}
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_text("utf-8").splitlines():
            try:
                record = json.loads(line)
            except ValueError:
                continue
            records[_key(record["run"])] = record["results"]
    return records


def add_record(name, run, results, folder=RECORDS):
    """Appends the results of a run to the file of an experiment."""
    folder.mkdir(parents=True, exist_ok=True)
    record = {"run": dataclasses.asdict(run), "results": results}
    path = folder / f"{name}.jsonl"
    with path.open("a", encoding="utf-8") as file:
        # After a stop in the middle of a line, start on a new one.
        file.write(("\n" if _is_cut(path) else "") + json.dumps(record) + "\n")
        file.flush()
        os.fsync(file.fileno())


def _is_cut(path):
    content = path.read_bytes()
    return bool(content) and not content.endswith(b"\n")


def key_of(run):
    """Returns the key of a `Run` in the result of `read_records`."""
    return _key(dataclasses.asdict(run))


def _key(run):
    return json.dumps(run, sort_keys=True)
