"""A report counts, names and explains all problems."""

import json

import pytest

from keras_vatt.data import CorpusReport, Finding, Problem

pytestmark = pytest.mark.once

REPORT = CorpusReport(
    7,
    (
        Finding(Problem.CORRUPT, "a.mp4", "is damaged"),
        Finding(Problem.SILENT, "b.mp4", "has only silence"),
        Finding(Problem.CORRUPT, "c\udcff.mp4", "is truncated"),
    ),
)


def test_findings_are_counted_by_problem():
    assert REPORT.counts == {Problem.CORRUPT: 2, Problem.SILENT: 1}
    assert REPORT.count("corrupt") == 2
    assert REPORT.count(Problem.MISSING) == 0


def test_the_text_has_counts_consequences_and_names():
    lines = str(REPORT).splitlines()
    assert lines[0] == "clips used: 7"
    assert "corrupt (skipped): 2" in lines
    assert "silent (audio masked): 1" in lines
    assert "  a.mp4: is damaged" in lines


def test_a_long_list_is_cut_in_the_text_and_whole_in_the_file(tmp_path):
    findings = [Finding(Problem.MISSING, f"{i}.mp4", "is gone") for i in range(40)]
    report = CorpusReport(0, tuple(findings))
    assert "  and 35 more" in str(report).splitlines()
    assert "30.mp4" not in str(report)
    report.save(tmp_path / "report.json")
    stored = json.loads((tmp_path / "report.json").read_text())
    assert len(stored["findings"]) == stored["counts"]["missing"] == 40


def test_every_problem_has_a_consequence():
    consequences = {problem: problem.consequence for problem in Problem}
    assert consequences == {
        Problem.MISSING: "skipped",
        Problem.UNREACHABLE: "skipped",
        Problem.CORRUPT: "skipped",
        Problem.NO_VIDEO: "skipped",
        Problem.TOO_SHORT: "skipped",
        Problem.MALFORMED: "skipped",
        Problem.NO_AUDIO: "audio masked",
        Problem.SILENT: "audio masked",
        Problem.NO_CAPTION: "text masked",
        Problem.SHORT: "repeated or padded",
        Problem.IGNORED: "not read",
    }


def test_a_saved_report_is_read_again(tmp_path):
    REPORT.save(tmp_path / "report.json")
    assert CorpusReport.load(tmp_path / "report.json") == REPORT


def test_a_name_that_is_no_utf8_can_be_printed():
    assert "c\\udcff.mp4" in str(REPORT)
    assert str(REPORT).encode()
