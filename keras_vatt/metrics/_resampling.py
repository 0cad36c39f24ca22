"""Average precision, ROC-AUC and d-prime of many resamples of clips at once."""

import numpy as np
from scipy.stats import norm

RANKING_METRICS = ("mean_average_precision", "roc_auc", "d_prime")


def resampled_ranking_metrics(scores, positives, indices):
    """Computes the macro averages of `classification_metrics` for many resamples.

    A resample has the same clips with other counts. So the clips of a class are sorted
    only once, and the counts are summed in that order. Equal scores are one threshold,
    as in scikit-learn.

    Args:
        scores: float array of shape `(clips, classes)`.
        positives: bool array of shape `(clips, classes)`.
        indices: int array of shape `(resamples, clips)`. Clips of each resample.

    Returns:
        float64 array of shape `(3, resamples)`, in the order of `RANKING_METRICS`. NaN
        for a resample in which no class has both positives and negatives.
    """
    num_clips, num_classes = scores.shape
    counts = [np.bincount(row, minlength=num_clips) for row in indices]
    # One row per clip: cumulative sums then read contiguous memory.
    counts = np.stack(counts, axis=1).astype(np.int32)
    sums = np.zeros((len(RANKING_METRICS), len(indices)))
    used = np.zeros(len(indices))
    for index in range(num_classes):
        values, defined = _metrics_of_class(
            scores[:, index], positives[:, index], counts
        )
        sums += np.where(defined, values, 0)
        used += defined
    return np.where(used > 0, sums / np.maximum(used, 1), np.nan)


def _metrics_of_class(scores, positives, counts):
    order = np.argsort(-scores, kind="stable")
    places = np.flatnonzero(positives[order])
    # Start and end of the run of equal scores around each positive.
    sorted_scores = -scores[order]
    begins = np.searchsorted(sorted_scores, sorted_scores[places], "left")
    ends = np.searchsorted(sorted_scores, sorted_scores[places], "right")
    first = np.searchsorted(places, begins)
    last = np.searchsorted(places, ends)

    clips = _sums_before(counts[order])
    weights = counts[order[places]]
    hits = _sums_before(weights)
    num_positives = hits[-1]
    num_negatives = clips[-1] - num_positives

    precisions = hits[last] / np.maximum(clips[ends], 1)
    misses_above = clips[begins] - hits[first]
    misses_to_end = clips[ends] - hits[last]
    lost_pairs = (weights * ((misses_above + misses_to_end) / 2)).sum(axis=0)

    defined = (num_positives > 0) & (num_negatives > 0)
    num_pairs = np.maximum(num_positives.astype(np.float64) * num_negatives, 1)
    precision = (weights * precisions).sum(axis=0) / np.maximum(num_positives, 1)
    area = 1 - lost_pairs / num_pairs
    half_a_pair = 0.5 / num_pairs
    d_prime = np.sqrt(2) * norm.ppf(np.clip(area, half_a_pair, 1 - half_a_pair))
    return np.stack([precision, area, d_prime]), defined


def _sums_before(counts):
    """Computes the sums of the first 0, 1, 2, ... rows."""
    sums = np.zeros((len(counts) + 1, counts.shape[1]), counts.dtype)
    np.cumsum(counts, axis=0, out=sums[1:])
    return sums
