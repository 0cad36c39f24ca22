"""Writes the report of an evaluation, as JSON and as tables in Markdown."""

from __future__ import annotations

import dataclasses
import enum
import json
import math
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_vatt._files import write_text
from keras_vatt._printable import printable
from keras_vatt.evaluation._probes import ProbeResult
from keras_vatt.inference._versions import package_versions
from keras_vatt.metrics._classification import ClassificationMetrics
from keras_vatt.metrics._ranking import RetrievalMetrics

# Characters. Longer cells, such as the names of many missing clips, are cut.
_LONGEST_CELL = 300
_CLASSIFICATION_COLUMNS = {
    "mAP": "mean_average_precision",
    "ROC-AUC": "roc_auc",
    "d'": "d_prime",
    "clips": "num_examples",
    "classes": "num_classes",
    "without positives": "num_classes_without_positives",
}
_RETRIEVAL_COLUMNS = {
    "R@1": "recall_at_1",
    "R@5": "recall_at_5",
    "R@10": "recall_at_10",
    "median rank": "median_rank",
    "mean rank": "mean_rank",
    "queries": "num_queries",
    "candidates": "num_candidates",
}


@dataclasses.dataclass(frozen=True)
class EvaluationResult:
    """Metrics and their confidence intervals.

    Args:
        metrics: `ClassificationMetrics`, `RetrievalMetrics` or `ProbeResult`.
        intervals: dict from the name of a metric to `(low, high)`, see
            `classification_intervals` and `retrieval_intervals`. Defaults to an empty
            dict.
        confidence: float. Confidence of the intervals. Defaults to `0.95`.
    """

    metrics: ClassificationMetrics | RetrievalMetrics | ProbeResult
    intervals: dict[str, tuple[float, float]] = dataclasses.field(default_factory=dict)
    confidence: float = 0.95


def write_evaluation(
    folder: str | os.PathLike,
    results: Mapping[
        str,
        EvaluationResult | ClassificationMetrics | RetrievalMetrics | ProbeResult,
    ],
    facts: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Writes `evaluation.json` and `evaluation.md` to a folder, atomically.

    The JSON file has all numbers, with `null` for NaN and infinity. The Markdown file
    has a table of classification results and one of retrieval results.

    Args:
        folder: string or path. It is created if it is missing; earlier reports in it
            are replaced.
        results: dict from the name of a task, such as `"ucf101 split 1"` or
            `"text->video"`, to `EvaluationResult`, or to metrics without intervals:
            `ClassificationMetrics`, `RetrievalMetrics` or `ProbeResult`.
        facts: dict of JSON types, NumPy numbers, paths and dataclasses. Facts about
            the evaluation, such as the preset, the dataset, its split, and the numbers
            of windows and of missing or corrupt clips. Defaults to `None`.

    Returns:
        Dict, the content of the JSON file: `"facts"`, `"versions"` and `"results"`.

    Raises:
        TypeError: if a result or a fact is of another type.

    Example:
    ```python
    import numpy as np

    from keras_vatt.evaluation import (
        EvaluationResult,
        retrieval_intervals,
        retrieval_ranks,
        write_evaluation,
    )

    ranks = retrieval_ranks(*np.random.default_rng(0).normal(size=(2, 50, 8)))
    result = EvaluationResult(ranks.metrics(), retrieval_intervals(ranks))
    facts = {"preset": "vatt_tiny_agnostic", "clips missing": 3}
    write_evaluation("results", {"text->video": result}, facts)
    ```
    """
    results = {str(name): _as_result(result) for name, result in results.items()}
    report = {
        "facts": _to_json(facts or {}),
        "versions": package_versions(),
        "results": {name: _row(result) for name, result in results.items()},
    }
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(report, indent=2, allow_nan=False)
    _replace(folder / "evaluation.json", text + "\n")
    _replace(folder / "evaluation.md", _markdown(report))
    return report


def _as_result(result):
    if isinstance(result, ClassificationMetrics | RetrievalMetrics | ProbeResult):
        result = EvaluationResult(result)
    if not isinstance(result, EvaluationResult):
        raise TypeError(
            "A result must be `EvaluationResult`, `ClassificationMetrics`, "
            f"`RetrievalMetrics` or `ProbeResult`. Received: {type(result).__name__}"
        )
    return result


def _row(result):
    metrics, probe = result.metrics, {}
    if isinstance(metrics, ProbeResult):
        probe = {"probe": metrics.method, "regularization": metrics.regularization}
        metrics = metrics.metrics
    kind = "retrieval" if isinstance(metrics, RetrievalMetrics) else "classification"
    values = _to_json(metrics)
    for k, accuracy in values.pop("top_k", {}).items():
        values[f"top_{k}"] = accuracy
    row = {"kind": kind, **_to_json(probe), "metrics": values}
    if result.intervals:
        row["confidence"] = result.confidence
        row["intervals"] = _to_json(result.intervals)
    return row


def _to_json(value):
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {field.name: _to_json(getattr(value, field.name)) for field in fields}
    if isinstance(value, dict):
        return {str(name): _to_json(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_to_json(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return _to_json(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, enum.Enum | os.PathLike):
        return str(value)
    if value is None or isinstance(value, str | int):
        return value
    raise TypeError(
        "Facts must be JSON types, NumPy arrays, paths or dataclasses. Received: "
        f"{type(value).__name__}"
    )


def _replace(path, text):
    write_text(path, text)


def _markdown(report):
    lines = ["# Evaluation", ""]
    for kind in ("classification", "retrieval"):
        rows = {n: row for n, row in report["results"].items() if row["kind"] == kind}
        if rows:
            lines += [f"## {kind.capitalize()}", "", *_results_table(kind, rows), ""]
    lines += _explanation(report["results"].values())
    for heading in ("facts", "versions"):
        facts = report[heading]
        if facts:
            cells = [[name, _text(value)] for name, value in facts.items()]
            table = _table(["", ""], cells)
            lines += [f"## {heading.capitalize()}", "", *table, ""]
    return printable("\n".join(lines)).rstrip() + "\n"


def _results_table(kind, rows):
    columns = _RETRIEVAL_COLUMNS
    if kind == "classification":
        columns = _accuracy_columns(rows) | _CLASSIFICATION_COLUMNS
    names = [
        f"{name} ({row['probe']} probe)" if "probe" in row else name
        for name, row in rows.items()
    ]
    cells = [
        [name, *(_cell(row, field) for field in columns.values())]
        for name, row in zip(names, rows.values(), strict=True)
    ]
    return _table(["task", *columns], cells)


def _accuracy_columns(rows):
    fields = {f for row in rows.values() for f in row["metrics"] if f[:4] == "top_"}
    ordered = sorted(fields, key=lambda field: int(field[4:]))
    return {field.replace("_", "-"): field for field in ordered}


def _cell(row, field):
    value = row["metrics"].get(field)
    text = _number(value)
    if value is None or field not in row.get("intervals", {}):
        return text
    low, high = row["intervals"][field]
    return f"{text} ({_number(low)} to {_number(high)})"


def _number(value):
    if value is None:
        return "-"
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _text(value):
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if len(text) > _LONGEST_CELL:
        return text[:_LONGEST_CELL] + " ... (all in evaluation.json)"
    return text


def _table(headings, rows):
    lines = [headings, ["---"] * len(headings), *rows]
    return ["| " + " | ".join(map(_escaped, cells)) + " |" for cells in lines]


def _escaped(text):
    return " ".join(text.replace("|", "\\|").split())


def _explanation(rows):
    rows = list(rows)
    lines = []
    confidences = sorted({row["confidence"] for row in rows if "confidence" in row})
    if confidences:
        levels = ", ".join(f"{100 * confidence:g} %" for confidence in confidences)
        lines.append(
            f"In parentheses: {levels} confidence intervals, by the percentile "
            "bootstrap over clips or queries."
        )
    if any(row["metrics"].get("num_classes_without_positives") for row in rows):
        lines.append("Classes without positives are excluded from mAP, ROC-AUC and d'.")
    return [line for text in lines for line in (text, "")]
