"""Bootstrap intervals against the metrics of each resample, and against theory."""

import numpy as np
import pytest
from scipy.stats import bootstrap

from keras_vatt.evaluation import (
    bootstrap_intervals,
    classification_intervals,
    classification_metrics,
    retrieval_intervals,
    retrieval_ranks,
    top_k_hits,
)
from keras_vatt.metrics._resampling import resampled_ranking_metrics

pytestmark = pytest.mark.once


def _classification_case(seed=0):
    generator = np.random.default_rng(seed)
    labels = np.arange(90) % 3
    return generator.normal(size=(90, 3)) + np.eye(3)[labels], labels


def test_the_interval_of_a_mean_is_close_to_the_normal_one():
    values = np.random.default_rng(0).normal(3.0, 2.0, 400)
    intervals = bootstrap_intervals({"mean": values}, num_resamples=4000)
    spread = 1.96 * values.std() / np.sqrt(400)
    expected = (values.mean() - spread, values.mean() + spread)
    assert intervals["mean"] == pytest.approx(expected, abs=0.03)


def test_the_interval_is_that_of_scipy():
    values = np.random.default_rng(0).random(50)
    expected = bootstrap(
        (values,),
        np.mean,
        n_resamples=1000,
        method="percentile",
        rng=np.random.default_rng(0),
        batch=50,
    ).confidence_interval
    assert bootstrap_intervals({"m": values})["m"] == pytest.approx(tuple(expected))


def test_about_as_many_intervals_hold_the_truth_as_they_promise():
    generator = np.random.default_rng(0)
    held = []
    for _ in range(200):
        values = generator.random(60) < 0.6
        low, high = bootstrap_intervals(
            {"share": values}, confidence=0.8, num_resamples=300
        )["share"]
        held.append(low <= 0.6 <= high)
    assert np.mean(held) == pytest.approx(0.8, abs=0.08)


def test_a_function_of_several_arrays_sees_whole_examples():
    scores, labels = _classification_case()

    def accuracy(scores, labels):
        return {"top_1": (scores.argmax(axis=1) == labels).mean()}

    by_function = bootstrap_intervals(accuracy, scores, labels, num_resamples=200)
    hits = {"top_1": top_k_hits(scores, labels, 1)}
    by_values = bootstrap_intervals(hits, num_resamples=200)
    assert by_function["top_1"] == pytest.approx(by_values["top_1"])


@pytest.mark.parametrize("seed", range(3))
def test_metrics_of_resamples_are_those_of_the_drawn_clips(seed):
    generator = np.random.default_rng(seed)
    scores = generator.integers(0, 12, (40, 5)).astype(float)
    positives = generator.random((40, 5)) < 0.12
    indices = generator.integers(40, size=(30, 40))
    resampled = resampled_ranking_metrics(scores, positives, indices)
    for drawn, values in zip(indices, resampled.T, strict=True):
        metrics = classification_metrics(scores[drawn], positives[drawn], True)
        expected = (metrics.mean_average_precision, metrics.roc_auc, metrics.d_prime)
        np.testing.assert_allclose(values, expected, rtol=1e-10)


def test_classification_intervals_are_around_the_metrics():
    scores, labels = _classification_case()
    metrics = classification_metrics(scores, labels, top_k=(1, 2))
    intervals = classification_intervals(scores, labels, top_k=(1, 2))
    points = {
        "top_1": metrics.top_1,
        "top_2": metrics.top_k[2],
        "mean_average_precision": metrics.mean_average_precision,
        "roc_auc": metrics.roc_auc,
        "d_prime": metrics.d_prime,
    }
    assert list(intervals) == list(points)
    for name, (low, high) in intervals.items():
        assert low < points[name] < high


def test_several_labels_per_clip_have_no_accuracy():
    labels = np.random.default_rng(0).integers(0, 2, (30, 4))
    intervals = classification_intervals(np.ones((30, 4)), labels, multi_label=True)
    assert list(intervals) == ["mean_average_precision", "roc_auc", "d_prime"]
    assert intervals["roc_auc"] == (0.5, 0.5)


def test_retrieval_intervals_are_those_of_drawn_queries():
    queries = np.random.default_rng(1).normal(size=(80, 6))
    candidates = queries + np.random.default_rng(2).normal(size=(80, 6))
    ranks = retrieval_ranks(queries, candidates)
    metrics = ranks.metrics()

    def of_drawn(drawn):
        return {
            "recall_at_1": (drawn <= 1).mean(),
            "recall_at_5": (drawn <= 5).mean(),
            "recall_at_10": (drawn <= 10).mean(),
            "median_rank": np.median(drawn),
            "mean_rank": drawn.mean(),
        }

    intervals = retrieval_intervals(ranks, num_resamples=200)
    expected = bootstrap_intervals(of_drawn, ranks.ranks, num_resamples=200)
    assert list(intervals) == list(expected)
    for name, interval in intervals.items():
        assert interval == pytest.approx(expected[name])
        assert interval[0] <= getattr(metrics, name) <= interval[1]


def test_the_same_seed_gives_the_same_intervals():
    scores, labels = _classification_case()
    first = classification_intervals(scores, labels, num_resamples=60)
    assert first == classification_intervals(scores, labels, num_resamples=60)
    other = classification_intervals(scores, labels, num_resamples=60, seed=1)
    assert first != other


def test_more_confidence_is_a_wider_interval():
    values = {"mean": np.random.default_rng(0).random(50)}
    low, high = bootstrap_intervals(values, confidence=0.99)["mean"]
    inner_low, inner_high = bootstrap_intervals(values, confidence=0.8)["mean"]
    assert low < inner_low < inner_high < high


def test_what_no_resample_defines_is_nan():
    intervals = classification_intervals([[0.9, 0.1], [0.8, 0.2]], [0, 0])
    assert np.isnan(intervals["roc_auc"]).all()
    assert intervals["top_1"] == (1.0, 1.0)
    assert np.isnan(bootstrap_intervals({"mean": [0.5]})["mean"]).all()


@pytest.mark.parametrize(
    ("values", "settings", "message"),
    [
        ({"a": [1, 2], "b": [1]}, {}, "one value per example"),
        ({}, {}, "at least one array"),
        ({"a": []}, {}, "at least one example"),
        ({"a": [1, 2]}, {"confidence": 95}, "between 0 and 1"),
        ({"a": [1, 2]}, {"num_resamples": 0}, "at least 1"),
    ],
)
def test_what_cannot_be_resampled_is_refused(values, settings, message):
    with pytest.raises(ValueError, match=message):
        bootstrap_intervals(values, **settings)
