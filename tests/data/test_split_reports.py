"""A report of several splits names the split of each finding."""

import json

import pytest

from keras_vatt.data import CorpusReport, Finding, Problem, read_corpus

pytestmark = pytest.mark.once

ROW = Finding(Problem.MALFORMED, "rows.csv, line 3", "has no `path`")
TRAIN = CorpusReport(5, (Finding(Problem.CORRUPT, "a.mp4", "is damaged"),))
TEST = CorpusReport(2, (Finding(Problem.CORRUPT, "b.mp4", "is truncated"),))
BOTH = CorpusReport.of_splits([ROW], {"train": TRAIN, "test": TEST})


def test_findings_of_all_splits_are_counted_and_named():
    assert BOTH.used == 7
    assert BOTH.counts == {Problem.MALFORMED: 1, Problem.CORRUPT: 2}
    assert [f.split for f in BOTH.findings] == [None, "train", "test"]
    assert str(BOTH).startswith("clips used: 7 (5 train, 2 test)\n")


def test_splits_are_saved_and_read_again(tmp_path):
    BOTH.save(tmp_path / "report.json")
    assert CorpusReport.load(tmp_path / "report.json") == BOTH
    stored = json.loads((tmp_path / "report.json").read_text())
    assert stored["splits"] == {"train": 5, "test": 2}
    assert [row.get("split") for row in stored["findings"]] == [None, "train", "test"]


def test_a_missing_file_is_named_with_the_split_of_its_row(tmp_path):
    (tmp_path / "manifest.csv").write_text("path,split\ngone.mp4,test\n")
    _, (finding,) = read_corpus(tmp_path)
    assert (finding.problem, finding.split) == (Problem.MISSING, "test")
