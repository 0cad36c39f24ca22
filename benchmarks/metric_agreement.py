"""Compares the metrics of `keras_vatt.metrics` with reference implementations.

    python benchmarks/metric_agreement.py --output results --cases 20

For each metric, reports the largest absolute difference over seeded random cases to
scikit-learn, to torchmetrics (float32), to float64 formulas that are written here pair
by pair from the definitions, and to the results of the original implementation in
`tests/golden/measures.npz`. Multi-label scores contain ties, and some classes have no
positives; these are left out everywhere. Top-k accuracy and ranks are compared without
ties, because the other libraries break ties by index. d-prime of scikit-learn and
torchmetrics is computed here from their ROC-AUC.
"""

import argparse
import importlib.metadata
import pathlib
import statistics
import warnings

import numpy as np
import sklearn.metrics
import torch
import torchmetrics.functional.classification as torch_classification
from report import environment, progress, write
from torchmetrics.retrieval import RetrievalHitRate, RetrievalMRR

from keras_vatt.evaluation import (
    classification_metrics,
    retrieval_metrics,
    retrieval_ranks,
)

_GOLDEN = pathlib.Path(__file__).parents[1] / "tests" / "golden" / "measures.npz"
_SOURCES = ("original", "scikit-learn", "torchmetrics", "float64 formula")


def main():
    arguments = _arguments()
    differences = {}
    for case in (_golden_classification, _golden_retrieval):
        _compare(differences, *case())
    for seed in range(arguments.cases):
        progress(f"case {seed + 1} of {arguments.cases}")
        generator = np.random.default_rng(seed)
        for case in (_one_label, _several_labels, _one_match, _several_matches):
            _compare(differences, *case(generator))
    rows = [{"metric": name} | found for name, found in differences.items()]
    settings = {"cases": arguments.cases}
    facts = environment()
    for package in ("scikit-learn", "torchmetrics"):
        facts["packages"][package] = importlib.metadata.version(package)
    report = {"environment": facts, "settings": settings, "results": rows}
    columns = {"metric": lambda row: row["metric"]} | {
        source: lambda row, source=source: _text(row.get(source)) for source in _SOURCES
    }
    write(arguments.output, "metric_agreement", report, columns)


def _compare(differences, ours, theirs):
    """Stores the largest difference; NaN counts as infinite."""
    for source, values in theirs.items():
        for name, value in values.items():
            difference = abs(float(ours[name]) - float(value))
            found = differences.setdefault(name, {})
            known = found.get(source, 0.0)
            found[source] = max(known, np.inf if np.isnan(difference) else difference)


def _golden_classification():
    golden = np.load(_GOLDEN, allow_pickle=False)
    several = classification_metrics(golden["in.scores"], golden["in.multilabel"], True)
    one = classification_metrics(golden["in.logits"], golden["in.label"][:, 0])
    ours = _top_k(one.top_k) | _ranking(several)
    return ours, {
        "original": {
            "top-1": golden["accuracy/top1"],
            "top-5": golden["accuracy/top5"],
            "mAP": golden["multilabel/mAP"],
            "ROC-AUC": golden["multilabel/AUC"],
            "d-prime": golden["multilabel/d-prime"],
        }
    }


def _golden_retrieval():
    golden = np.load(_GOLDEN, allow_pickle=False)
    windows = golden["in.video_windows"].reshape(40, int(golden["in.windows"]), -1)
    ours, theirs = {}, {}
    for window_average in ("embedding", "similarity"):
        metrics = retrieval_metrics(golden["in.text"], windows, window_average)
        place = f"mean_{window_average}"
        for name, value in _recalls(metrics).items():
            ours[f"{name}, mean {window_average} of 4 windows"] = value
            key = "MedianRank" if name == "median rank" else name.replace("@", "")
            theirs[f"{name}, mean {window_average} of 4 windows"] = golden[
                f"{place}/{key}"
            ]
    return ours, {"original": theirs}


def _one_label(generator):
    labels = generator.permutation(np.arange(120) % 12)
    scores = generator.dirichlet(np.full(12, 0.3), size=120)
    metrics = classification_metrics(scores, labels)
    positives = labels[:, None] == np.arange(12)
    tensors = (torch.tensor(scores), torch.tensor(labels))

    def torch_accuracy(k):
        return torch_classification.multiclass_accuracy(
            *tensors, 12, average="micro", top_k=k
        )

    suffix = " one against the rest"
    ours = _top_k(metrics.top_k) | _ranking(metrics, suffix)
    return ours, {
        "scikit-learn": {
            f"top-{k}": sklearn.metrics.top_k_accuracy_score(labels, scores, k=k)
            for k in (1, 5)
        }
        | {
            f"mAP{suffix}": sklearn.metrics.average_precision_score(labels, scores),
            f"ROC-AUC{suffix}": sklearn.metrics.roc_auc_score(
                labels, scores, multi_class="ovr"
            ),
        },
        "torchmetrics": {f"top-{k}": torch_accuracy(k) for k in (1, 5)}
        | {
            f"mAP{suffix}": torch_classification.multiclass_average_precision(
                *tensors, 12
            ),
            f"ROC-AUC{suffix}": torch_classification.multiclass_auroc(*tensors, 12),
        },
        "float64 formula": {
            f"top-{k}": np.mean(
                [
                    label in row[-k:]
                    for label, row in zip(labels, scores.argsort(axis=1), strict=True)
                ]
            )
            for k in (1, 5)
        }
        | _ranking_formulas(scores, positives, suffix),
    }


def _several_labels(generator):
    scores = generator.integers(0, 40, (100, 10)) / 40
    labels = (generator.random((100, 10)) < generator.random(10) / 3).astype(int)
    labels[0], labels[1] = 1, 0
    labels[:, generator.permutation(10)[:3]] = 0
    present = labels.any(axis=0)
    metrics = classification_metrics(scores, labels, multi_label=True)
    return _ranking(metrics), {
        "scikit-learn": _averages(
            sklearn.metrics.average_precision_score(
                labels[:, present], scores[:, present], average=None
            ),
            sklearn.metrics.roc_auc_score(
                labels[:, present], scores[:, present], average=None
            ),
        ),
        "torchmetrics": _torch_averages(scores, labels, present),
        "float64 formula": _ranking_formulas(scores[:, present], labels[:, present]),
    }


def _torch_averages(scores, labels, present):
    given = (torch.tensor(scores), torch.tensor(labels), scores.shape[1])
    with warnings.catch_warnings():
        # torchmetrics returns 0 for classes without positives.
        warnings.simplefilter("ignore")
        precisions = torch_classification.multilabel_average_precision(
            *given, average=None
        )
        areas = torch_classification.multilabel_auroc(*given, average=None)
    return _averages(
        precisions.double().numpy()[present], areas.double().numpy()[present]
    )


def _one_match(generator):
    queries, candidates = generator.normal(size=(2, 80, 6))
    candidates = candidates + queries
    similarities = _cosines(queries, candidates)
    ids = np.arange(80)
    ranks = retrieval_ranks(queries, candidates)
    found = 1 + (similarities > np.diag(similarities)[:, None]).sum(axis=1)
    return _retrieval(ranks), {
        "scikit-learn": {
            f"R@{k}": sklearn.metrics.top_k_accuracy_score(ids, similarities, k=k)
            for k in (1, 5, 10)
        },
        "torchmetrics": _torch_retrieval(similarities, ids[:, None] == ids),
        "float64 formula": _rank_summary(found),
    }


def _several_matches(generator):
    videos, captions = generator.normal(size=(40, 6)), generator.normal(size=(100, 6))
    ids = np.concatenate([np.arange(40), generator.integers(40, size=60)])
    captions = captions + videos[ids]
    similarities = _cosines(videos, captions)
    is_match = np.arange(40)[:, None] == ids
    ranks = retrieval_ranks(
        videos, captions, query_ids=np.arange(40), candidate_ids=ids
    )
    order = np.argsort(-similarities, axis=1)
    found = 1 + np.take_along_axis(is_match, order, axis=1).argmax(axis=1)
    suffix = ", several matches"
    return _retrieval(ranks, suffix), {
        "torchmetrics": _torch_retrieval(similarities, is_match, suffix),
        "float64 formula": _rank_summary(found, suffix),
    }


def _torch_retrieval(similarities, is_match, suffix=""):
    rows = np.repeat(np.arange(len(similarities)), similarities.shape[1])
    # torchmetrics ignores matches with scores below zero.
    given = (torch.tensor(similarities.ravel() + 2), torch.tensor(is_match.ravel()))
    metrics = {f"R@{k}": RetrievalHitRate(top_k=k) for k in (1, 5, 10)}
    metrics["mean reciprocal rank"] = RetrievalMRR()
    return {
        name + suffix: metric(*given, indexes=torch.tensor(rows))
        for name, metric in metrics.items()
    }


def _ranking_formulas(scores, positives, suffix=""):
    """Computes the ranking metrics from their definitions, over all pairs of clips."""
    precisions, areas = [], []
    for column, of_class in zip(scores.T, positives.T.astype(bool), strict=True):
        above = column[:, None] >= column[of_class]
        precisions.append(
            np.mean(above[of_class].sum(axis=0) / above.sum(axis=0)),
        )
        pairs = column[of_class][:, None] - column[~of_class]
        areas.append(np.mean((pairs > 0) + 0.5 * (pairs == 0)))
    return _averages(precisions, areas, suffix)


def _averages(precisions, areas, suffix=""):
    ppf = statistics.NormalDist().inv_cdf
    d_primes = [2**0.5 * ppf(float(area)) for area in areas]
    names = ("mAP", "ROC-AUC", "d-prime")
    values = (precisions, areas, d_primes)
    return {n + suffix: np.mean(v) for n, v in zip(names, values, strict=True)}


def _cosines(queries, candidates):
    queries = queries / np.linalg.norm(queries, axis=1, keepdims=True)
    return queries @ (candidates / np.linalg.norm(candidates, axis=1, keepdims=True)).T


def _rank_summary(ranks, suffix=""):
    values = {f"R@{k}": np.mean(ranks <= k) for k in (1, 5, 10)}
    values |= {"median rank": np.median(ranks), "mean rank": np.mean(ranks)}
    values["mean reciprocal rank"] = np.mean(1 / ranks)
    return {name + suffix: value for name, value in values.items()}


def _retrieval(ranks, suffix=""):
    metrics = ranks.metrics()
    values = _recalls(metrics) | {"mean rank": metrics.mean_rank}
    values["mean reciprocal rank"] = np.mean(1 / ranks.ranks)
    return {name + suffix: value for name, value in values.items()}


def _recalls(metrics):
    return {
        "R@1": metrics.recall_at_1,
        "R@5": metrics.recall_at_5,
        "R@10": metrics.recall_at_10,
        "median rank": metrics.median_rank,
    }


def _top_k(accuracies):
    return {f"top-{k}": accuracy for k, accuracy in accuracies.items()}


def _ranking(metrics, suffix=""):
    return {
        f"mAP{suffix}": metrics.mean_average_precision,
        f"ROC-AUC{suffix}": metrics.roc_auc,
        f"d-prime{suffix}": metrics.d_prime,
    }


def _text(difference):
    return "-" if difference is None else f"{difference:.1e}"


def _arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", default="results", help="folder of the report")
    parser.add_argument("--cases", type=int, default=20, help="random cases")
    return parser.parse_args()


if __name__ == "__main__":
    main()
