"""Bootstrap confidence intervals of metrics."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import DegenerateDataWarning, bootstrap

from keras_vatt.metrics._classification import checked_inputs, top_k_hits
from keras_vatt.metrics._ranking import RetrievalRanks
from keras_vatt.metrics._resampling import RANKING_METRICS, resampled_ranking_metrics

# Number of resamples in memory at the same time.
_BATCH = 50


def bootstrap_intervals(
    statistic: Callable[..., Mapping[str, float]] | Mapping[str, ArrayLike],
    *arrays: ArrayLike,
    confidence: float = 0.95,
    num_resamples: int = 1000,
    seed: int = 0,
) -> dict[str, tuple[float, float]]:
    """Computes intervals of metrics by the percentile bootstrap over examples.

    `scipy.stats.bootstrap` resamples the examples with replacement, `num_resamples`
    times. The interval lies between two percentiles of the metric. It measures the
    influence of the choice of the evaluated clips, but not that of another training
    run.

    Args:
        statistic: function of the resampled arrays that returns a dict from name to
            float; or a dict from name to an array of shape `(examples,)`, whose mean
            is the metric.
        *arrays: arrays whose first axis is that of the examples; none if `statistic`
            is a dict.
        confidence: float in (0, 1). Defaults to `0.95`.
        num_resamples: int. Defaults to `1000`.
        seed: int. The same seed gives the same intervals. Defaults to `0`.

    Returns:
        Dict from name to a tuple of floats `(low, high)`. Resamples in which a metric
        is undefined are excluded. The interval is NaN if all are, or if there is a
        single example.

    Raises:
        ValueError: if there is no example, the lengths differ, `confidence` is not
            between 0 and 1, or `num_resamples` is less than 1.

    Example:
    ```python
    import numpy as np

    from keras_vatt.metrics import bootstrap_intervals, top_k_hits

    generator = np.random.default_rng(0)
    scores = generator.normal(size=(100, 4))
    labels = generator.integers(4, size=100)
    bootstrap_intervals({"top_1": top_k_hits(scores, labels, k=1)})

    def error(scores, labels):
        return {"top_1 error": np.mean(scores.argmax(axis=1) != labels)}

    bootstrap_intervals(error, scores, labels)
    ```
    """
    if callable(statistic):
        arrays = [np.asarray(array) for array in arrays]
        num_examples = _common_length(arrays)
        names = list(statistic(*arrays))
        draw = functools.partial(_values_of_each_draw, statistic, arrays, names)
    else:
        arrays = [np.asarray(values, np.float64) for values in statistic.values()]
        num_examples = _common_length(arrays)
        names = list(statistic)
        draw = functools.partial(_means_of_each_draw, np.stack(arrays))
    return _intervals(names, draw, num_examples, confidence, num_resamples, seed)


def classification_intervals(
    scores: ArrayLike,
    labels: ArrayLike,
    multi_label: bool = False,
    top_k: Sequence[int] = (1, 5),
    confidence: float = 0.95,
    num_resamples: int = 1000,
    seed: int = 0,
) -> dict[str, tuple[float, float]]:
    """Computes bootstrap intervals of `classification_metrics`, over clips.

    As in the metrics, classes without positives or negatives are excluded from each
    resample. The metrics of many resamples are computed at the same time; computed one
    by one, thousands of clips and hundreds of classes would take hours.

    Average precision is biased upward in resamples, since copies of a positive clip
    have adjacent ranks. So is its interval for classes with few positives.

    Args:
        scores: see `classification_metrics`.
        labels: see `classification_metrics`.
        multi_label: see `classification_metrics`.
        top_k: see `classification_metrics`.
        confidence: see `bootstrap_intervals`.
        num_resamples: see `bootstrap_intervals`.
        seed: see `bootstrap_intervals`.

    Returns:
        Dict from `"top_1"`, `"top_5"` (or other `k`), `"mean_average_precision"`,
        `"roc_auc"` and `"d_prime"` to `(low, high)`.

    Raises:
        ValueError: see `classification_metrics` and `bootstrap_intervals`.

    Example:
    ```python
    from keras_vatt.metrics import classification_intervals

    scores = [[0.7, 0.3], [0.6, 0.4], [0.2, 0.8], [0.9, 0.1]]
    classification_intervals(scores, [0, 0, 1, 1], top_k=(1,))["top_1"]
    ```
    """
    scores, positives = checked_inputs(scores, labels, multi_label)
    settings = (confidence, num_resamples, seed)
    draw = functools.partial(resampled_ranking_metrics, scores, positives)
    intervals = _intervals(RANKING_METRICS, draw, len(scores), *settings)
    if multi_label or not top_k:
        return intervals
    hits = np.stack([top_k_hits(scores, labels, k) for k in top_k])
    draw = functools.partial(_means_of_each_draw, hits)
    names = [f"top_{k}" for k in top_k]
    return _intervals(names, draw, len(scores), *settings) | intervals


def retrieval_intervals(
    ranks: RetrievalRanks,
    confidence: float = 0.95,
    num_resamples: int = 1000,
    seed: int = 0,
    recalls_at: Iterable[int] = (1, 5, 10),
) -> dict[str, tuple[float, float]]:
    """Computes bootstrap intervals of `RetrievalMetrics`, over queries.

    Only the queries are resampled: other candidates would change every rank.

    Args:
        ranks: `RetrievalRanks`.
        confidence: see `bootstrap_intervals`.
        num_resamples: see `bootstrap_intervals`.
        seed: see `bootstrap_intervals`.
        recalls_at: ints. The `k` of the recalls. Defaults to `(1, 5, 10)`.

    Returns:
        Dict from `"recall_at_1"`, ..., `"median_rank"` and `"mean_rank"` to
        `(low, high)`.

    Raises:
        ValueError: see `bootstrap_intervals`.

    Example:
    ```python
    import numpy as np

    from keras_vatt.metrics import retrieval_intervals, retrieval_ranks

    queries, candidates = np.random.default_rng(0).normal(size=(2, 50, 8))
    retrieval_intervals(retrieval_ranks(queries, candidates))["recall_at_10"]
    ```
    """
    hits = np.stack([ranks.hits(k) for k in recalls_at])
    names = [*(f"recall_at_{k}" for k in recalls_at), "median_rank", "mean_rank"]

    def draw(indices):
        drawn = ranks.ranks[indices]
        recalls = _means_of_each_draw(hits, indices)
        return np.stack([*recalls, np.median(drawn, axis=1), drawn.mean(axis=1)])

    settings = (confidence, num_resamples, seed)
    return _intervals(names, draw, hits.shape[1], *settings)


def _intervals(names, draw, num_examples, confidence, num_resamples, seed):
    """Computes intervals of the metrics of a function that computes resamples.

    `draw` is a function from indices of shape `(resamples, examples)` to metrics of
    shape `(names, resamples)`.
    """
    _check_settings(num_examples, confidence, num_resamples)
    if num_examples == 1:
        return dict.fromkeys(names, (float("nan"), float("nan")))
    with warnings.catch_warnings():
        # Undefined values are left out below.
        warnings.simplefilter("ignore", DegenerateDataWarning)
        values = bootstrap(
            (np.arange(num_examples),),
            lambda indices, axis: draw(np.atleast_2d(indices)),
            vectorized=True,
            n_resamples=num_resamples,
            batch=_BATCH,
            method="percentile",
            rng=np.random.default_rng(seed),
        ).bootstrap_distribution
    tails = ((1 - confidence) / 2, (1 + confidence) / 2)
    return {
        name: _percentiles(row, tails) for name, row in zip(names, values, strict=True)
    }


def _percentiles(values, tails):
    defined = values[~np.isnan(values)]
    if not len(defined):
        return (float("nan"), float("nan"))
    low, high = np.quantile(defined, tails)
    return (float(low), float(high))


def _means_of_each_draw(values, indices):
    return values[:, indices].mean(axis=-1)


def _values_of_each_draw(statistic, arrays, names, indices):
    drawn = [statistic(*(array[row] for array in arrays)) for row in indices]
    return np.array([[values[name] for values in drawn] for name in names])


def _common_length(arrays):
    lengths = {len(array) for array in arrays}
    if len(lengths) != 1:
        raise ValueError(
            "There must be at least one array, all with one value per example. "
            f"Received lengths: {[len(array) for array in arrays]}"
        )
    return lengths.pop()


def _check_settings(num_examples, confidence, num_resamples):
    if not num_examples:
        raise ValueError("There must be at least one example. Received: none")
    if not 0 < confidence < 1:
        raise ValueError(
            "`confidence` must be between 0 and 1, such as 0.95. "
            f"Received: {confidence}"
        )
    if num_resamples < 1:
        raise ValueError(
            f"`num_resamples` must be at least 1. Received: {num_resamples}"
        )
