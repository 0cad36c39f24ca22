"""The files that an evaluation writes."""

import json
import pathlib

import keras
import numpy as np
import pytest

from keras_vatt.data import CorpusReport, Finding, Problem
from keras_vatt.evaluation import (
    EvaluationResult,
    classification_intervals,
    classification_metrics,
    linear_probe,
    retrieval_intervals,
    retrieval_metrics,
    retrieval_ranks,
    write_evaluation,
)
from keras_vatt.version import __version__

pytestmark = pytest.mark.once

SCORES = np.random.default_rng(0).random((20, 6))
LABELS = np.arange(20) % 5  # The last class has no positives.


def _strict_json(path):
    def refuse(constant):
        raise ValueError(constant)

    return json.loads(path.read_text("utf-8"), parse_constant=refuse)


def test_the_json_file_has_all_numbers_intervals_facts_and_versions(tmp_path):
    metrics = classification_metrics(SCORES, LABELS)
    intervals = classification_intervals(SCORES, LABELS, confidence=0.9)
    facts = {"preset": "tiny", "split": 1, "missing": np.int64(3), "labels": (1, 2)}
    report = write_evaluation(
        tmp_path / "new" / "folder",
        {"ucf101": EvaluationResult(metrics, intervals, 0.9)},
        facts,
    )
    folder = tmp_path / "new" / "folder"
    assert report == _strict_json(folder / "evaluation.json")
    row = report["results"]["ucf101"]
    assert row["metrics"]["top_1"] == metrics.top_1
    assert row["metrics"]["top_5"] == metrics.top_5
    assert row["metrics"]["roc_auc"] == metrics.roc_auc
    assert row["metrics"]["num_classes_without_positives"] == 1
    assert row["intervals"]["top_1"] == list(intervals["top_1"])
    assert row["confidence"] == 0.9
    assert report["facts"] == facts | {"missing": 3, "labels": [1, 2]}
    assert report["versions"]["keras-vatt"] == __version__
    assert report["versions"]["backend"] == keras.config.backend()
    assert {path.name for path in folder.iterdir()} == {
        "evaluation.json",
        "evaluation.md",
    }


def test_the_tables_have_a_line_per_task(tmp_path):
    ranks = retrieval_ranks(np.eye(20), np.eye(20))
    train = np.eye(5)[np.arange(10) % 5]
    probe = linear_probe(
        train, np.arange(10) % 5, train, np.arange(10) % 5, method="svm"
    )
    results = {
        "fine-tuned": classification_metrics(SCORES, LABELS),
        "frozen": probe,
        "text->video": EvaluationResult(ranks.metrics(), retrieval_intervals(ranks)),
        "video->text": retrieval_metrics(np.eye(4), np.eye(4)),
    }
    report = write_evaluation(tmp_path, results)
    text = (tmp_path / "evaluation.md").read_text("utf-8")
    lines = {
        line.split("|")[1].strip(): line for line in text.splitlines() if "|" in line
    }
    assert f"{results['fine-tuned'].top_1:.4f}" in lines["fine-tuned"]
    assert "1.0000 (1.0000 to 1.0000)" in lines["text->video"]
    assert "(" not in lines["video->text"]
    assert "frozen (svm probe)" in lines
    assert "95 % confidence intervals" in text
    assert "excluded from mAP" in text
    assert report["results"]["frozen"]["regularization"] == 6e-5


def test_nan_is_null(tmp_path):
    metrics = classification_metrics([[0.9, 0.1]], [0])
    intervals = {"roc_auc": (float("nan"), float("nan")), "top_1": (0.0, np.inf)}
    facts = {"loss": float("nan"), "array": np.array([1.0, np.inf])}
    results = {"one clip": EvaluationResult(metrics, intervals)}
    write_evaluation(tmp_path, results, facts)
    report = _strict_json(tmp_path / "evaluation.json")
    row = report["results"]["one clip"]
    assert row["metrics"]["roc_auc"] is None
    assert row["intervals"] == {"roc_auc": [None, None], "top_1": [0.0, None]}
    assert report["facts"] == {"loss": None, "array": [1.0, None]}
    assert "nan" not in (tmp_path / "evaluation.md").read_text("utf-8").lower()


def test_facts_may_be_paths_and_reports_of_the_data(tmp_path):
    findings = (Finding(Problem.CORRUPT, "a|b.mp4", "no\nindex"),)
    facts = {
        "folder": pathlib.Path("sets") / "ucf101",
        "data": CorpusReport(2, findings),
    }
    report = write_evaluation(tmp_path, {}, facts)
    assert report["facts"]["folder"] == str(pathlib.Path("sets") / "ucf101")
    assert report["facts"]["data"]["findings"][0]["problem"] == "corrupt"
    (line,) = [
        line
        for line in (tmp_path / "evaluation.md").read_text("utf-8").splitlines()
        if "corrupt" in line
    ]
    # A bar in a cell would begin another one.
    assert line.replace("\\|", "").count("|") == 3


def test_long_facts_are_whole_in_the_json_file_only(tmp_path):
    missing = [f"clip{number}.mp4" for number in range(1000)]
    report = write_evaluation(tmp_path, {}, {"missing": missing})
    assert report["facts"]["missing"] == missing
    text = (tmp_path / "evaluation.md").read_text("utf-8")
    assert "clip0.mp4" in text
    assert "clip999.mp4" not in text


def test_a_second_report_replaces_the_first(tmp_path):
    write_evaluation(tmp_path, {}, {"run": 1})
    write_evaluation(tmp_path, {}, {"run": 2})
    assert _strict_json(tmp_path / "evaluation.json")["facts"] == {"run": 2}


def test_a_report_that_cannot_be_written_leaves_the_old_one(tmp_path):
    write_evaluation(tmp_path, {}, {"run": 1})
    with pytest.raises(TypeError, match="object"):
        write_evaluation(tmp_path, {}, {"run": object()})
    assert _strict_json(tmp_path / "evaluation.json")["facts"] == {"run": 1}


def test_other_results_are_refused(tmp_path):
    with pytest.raises(TypeError, match="A result must be.*dict"):
        write_evaluation(tmp_path, {"ucf101": {"top_1": 0.5}})


def test_names_that_are_no_text_are_written(tmp_path):
    write_evaluation(tmp_path, {}, {"file": "clip\udcff.mp4"})
    assert "udcff" in (tmp_path / "evaluation.md").read_text("utf-8")
