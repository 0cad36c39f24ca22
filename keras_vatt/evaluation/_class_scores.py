"""Logits of test clips against their labels."""

import numpy as np
import scipy.special

from keras_vatt.evaluation import (
    EvaluationResult,
    classification_intervals,
    classification_metrics,
    mean_over_splits,
    multi_hot,
)
from keras_vatt.evaluation._errors import EvaluationError


def class_results(logits, tests, splits):
    """Computes the metrics of each split, and their mean.

    Args:
        logits: dict from split to a dict from `MediaSegment` to the logits of its
            windows and crops, an array of shape `(rows, classes)`. Clips that can't be
            used are absent.
        tests: dict from split to a list of `LabeledClip`.
        splits: dict from split to `LabeledDataset`.

    Returns:
        Dict from split to `EvaluationResult`.

    Raises:
        EvaluationError: if no test clip of a split can be used.
    """
    results = {}
    for split, read in splits.items():
        clips = [clip for clip in tests[split] if clip.segment in logits[split]]
        if not clips:
            raise EvaluationError(f"no test clip of {read.name} can be used")
        rows = np.stack([logits[split][clip.segment] for clip in clips])
        means = rows.mean(axis=1, dtype=np.float64)
        results[f"{read.name} split {split}"] = _result(means, clips, read)
    if len(results) > 1:
        metrics = [result.metrics for result in results.values()]
        results[f"mean over {len(metrics)} splits"] = mean_over_splits(metrics)
    return results


def _result(logits, clips, read):
    if read.multi_label:
        scores = scipy.special.expit(logits)
        labels = multi_hot([clip.labels for clip in clips], scores.shape[1])
    else:
        scores = scipy.special.softmax(logits, axis=1)
        labels = np.array([clip.labels[0] for clip in clips])
    metrics = classification_metrics(scores, labels, read.multi_label)
    intervals = classification_intervals(scores, labels, read.multi_label)
    return EvaluationResult(metrics, intervals)
