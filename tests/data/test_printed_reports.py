"""Names of files and captions in reports and cards can't control a terminal."""

import logging

import pytest

from keras_vatt import Provenance
from keras_vatt.data import CorpusReport, Finding, MediaError, Problem
from keras_vatt.data._clip_findings import ClipFindings
from keras_vatt.evaluation import RetrievalMetrics, write_evaluation
from keras_vatt.storage._model_card import CardFacts, write_card

pytestmark = pytest.mark.once

HOSTILE = "a\x1b[2Jb\rc\u202ed\udcff"
ESCAPED = r"a\x1b[2Jb\rc\u202ed\udcff"


def test_a_report_of_a_corpus_has_a_line_for_each_finding():
    findings = (Finding(Problem.CORRUPT, f"{HOSTILE}\nclips used: 99", "is\tdamaged"),)
    printed = str(CorpusReport(3, findings))
    assert printed.splitlines()[0] == "clips used: 3"
    assert printed.splitlines()[2:] == [f"  {ESCAPED}\\nclips used: 99: is\\tdamaged"]


def test_an_error_of_a_file_is_one_line():
    error = MediaError(f"{HOSTILE}\n.mp4", Problem.CORRUPT, "is damaged")
    assert str(error) == f"{ESCAPED}\\n.mp4: is damaged"
    assert error.path == f"{HOSTILE}\n.mp4"


def test_evaluation_tables_are_escaped(tmp_path):
    metrics = RetrievalMetrics(*([1.0] * 5), 3, 3)
    report = write_evaluation(tmp_path, {HOSTILE: metrics}, {HOSTILE: [HOSTILE]})
    text = (tmp_path / "evaluation.md").read_text("utf-8")
    assert all(character.isprintable() or character == "\n" for character in text)
    assert text.count(r"\x1b[2Jb") == 2
    assert list(report["facts"]) == [HOSTILE]


def test_the_card_of_a_saved_preset_is_escaped(tmp_path):
    facts = CardFacts(HOSTILE, "other", 1, {HOSTILE: HOSTILE}, HOSTILE, [HOSTILE])
    made = Provenance(
        HOSTILE,
        source=HOSTILE,
        datasets=(HOSTILE[:-1],),
        training={HOSTILE: HOSTILE},
        evaluation={HOSTILE: {HOSTILE: HOSTILE}},
    )
    write_card(tmp_path, HOSTILE, facts, made)
    text = (tmp_path / "README.md").read_text("utf-8")
    assert all(character.isprintable() or character == "\n" for character in text)
    assert text.count(ESCAPED) > 9


def test_a_clip_that_fails_later_is_logged_in_one_line(caplog):
    findings = ClipFindings("skip")
    with caplog.at_level(logging.WARNING):
        findings.found(0, Problem.CORRUPT, f"{HOSTILE}\n.mp4", "is damaged")
        findings.found(1, Problem.CORRUPT, f"{HOSTILE}\n.mp4", "is damaged")
    assert caplog.messages == [f"skipped: {ESCAPED}\\n.mp4 is damaged"]
