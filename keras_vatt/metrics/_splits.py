"""Means over the splits of a dataset, as reported for UCF101, HMDB51 and ESC-50."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keras_vatt.metrics._classification import ClassificationMetrics

_AVERAGED = ("mean_average_precision", "roc_auc", "d_prime")
_COUNTED = (
    "num_classes_without_positives",
    "num_classes_without_negatives",
    "num_classes_with_clipped_d_prime",
)


def mean_over_splits(
    metrics: Sequence[ClassificationMetrics],
) -> ClassificationMetrics:
    """Averages classification metrics over the splits of a dataset.

    All splits have the same weight, as is usual for the 3 splits of UCF101 and HMDB51
    and the 5 folds of ESC-50.

    Args:
        metrics: list of `ClassificationMetrics`, one per split.

    Returns:
        `ClassificationMetrics`: means of the metrics (NaN if one is NaN), the total
        number of clips, and the largest numbers of excluded classes.

    Raises:
        ValueError: if there is no split, or the splits differ in the number of
            classes or in the `k` of top-k accuracy.

    Example:
    ```python
    from keras_vatt.metrics import classification_metrics, mean_over_splits

    scores = [[0.9, 0.1], [0.2, 0.8]]
    splits = [classification_metrics(scores, labels) for labels in ([0, 1], [1, 1])]
    mean_over_splits(splits).top_1  # 0.75
    ```
    """
    kinds = {(split.num_classes, tuple(split.top_k)) for split in metrics}
    if len(kinds) != 1:
        raise ValueError(
            "There must be at least one split, all with the same classes and the same "
            f"`k`. Received (classes, k): {sorted(kinds)}"
        )
    (num_classes, top_k) = kinds.pop()
    means = {
        name: float(np.mean([getattr(split, name) for split in metrics]))
        for name in _AVERAGED
    }
    counts = {name: max(getattr(split, name) for split in metrics) for name in _COUNTED}
    return ClassificationMetrics(
        num_examples=sum(split.num_examples for split in metrics),
        num_classes=num_classes,
        top_k={k: float(np.mean([split.top_k[k] for split in metrics])) for k in top_k},
        **means,
        **counts,
    )
