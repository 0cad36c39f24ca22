"""Classification metrics: accuracy, average precision, ROC-AUC, d-prime."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm
from sklearn.metrics import average_precision_score, roc_auc_score


@dataclasses.dataclass(frozen=True)
class ClassificationMetrics:
    """Metrics of scores of classes, compared with the labels of clips.

    Average precision, ROC-AUC and d-prime are computed for each class against the
    rest, and averaged over the classes with both positive and negative clips. The
    other classes are excluded and counted. If all are excluded, the metrics are NaN.

    Args:
        num_examples: int. Number of clips.
        num_classes: int. Number of classes with a score.
        top_k: dict from `k` to the fraction of clips whose class is among the `k`
            highest scores. Empty for several labels per clip.
        mean_average_precision: float. Macro average.
        roc_auc: float. Macro average of the areas under the ROC curves.
        d_prime: float. Mean over the classes of `sqrt(2) * ppf(area)`, where `ppf` is
            the inverse of the normal distribution function. An area of exactly 1 has
            an infinite d-prime; it is replaced by
            `1 - 1 / (2 * positives * negatives)`, half a pair of clips less. An area
            of 0 is treated likewise.
        num_classes_without_positives: int. Number of classes without a clip.
        num_classes_without_negatives: int. Number of classes that all clips have.
        num_classes_with_clipped_d_prime: int. Number of classes whose area was 1 or 0.
    """

    num_examples: int
    num_classes: int
    top_k: dict[int, float]
    mean_average_precision: float
    roc_auc: float
    d_prime: float
    num_classes_without_positives: int
    num_classes_without_negatives: int
    num_classes_with_clipped_d_prime: int

    @property
    def top_1(self) -> float | None:
        """Top-1 accuracy; `None` if it was not computed."""
        return self.top_k.get(1)

    @property
    def top_5(self) -> float | None:
        """Top-5 accuracy; `None` if it was not computed."""
        return self.top_k.get(5)


def classification_metrics(
    scores: ArrayLike,
    labels: ArrayLike,
    multi_label: bool = False,
    top_k: Iterable[int] = (1, 5),
) -> ClassificationMetrics:
    """Computes metrics of the scores of classes, given the labels of clips.

    These are the metrics of section 4 of the VATT paper (arXiv:2104.11178): top-1 and
    top-5 accuracy for Kinetics, Moments in Time and ImageNet; mAP, AUC and d-prime for
    AudioSet. scikit-learn computes them, class by class.

    If several classes have the same score, top-k accuracy is its expected value over
    all orders of them. So a model with equal scores for all classes is at chance. With
    at most `k` classes, top-k accuracy is 1.

    Mean average precision, ROC-AUC and d-prime rank the clips within each class. With
    one label per clip, they differ between logits and probabilities, since the softmax
    divides the scores of each clip by a different sum. Probabilities are the usual
    choice. Accuracies, and metrics of several labels per clip under the sigmoid, are
    the same for both.

    Args:
        scores: float array of shape `(clips, classes)`. Logits or probabilities; a
            higher score is more likely.
        labels: int array of shape `(clips,)`. Class of each clip. With `multi_label`,
            0s and 1s of shape `(clips, classes)` (see `multi_hot`).
        multi_label: bool. Whether a clip may have any number of classes. Defaults to
            `False`.
        top_k: ints. The `k` of top-k accuracy. Defaults to `(1, 5)`.

    Returns:
        `ClassificationMetrics`.

    Raises:
        ValueError: if the shapes don't match, there is no clip, a score is not finite
            or a label is not the index of a class.

    Example:
    ```python
    from keras_vatt.metrics import classification_metrics

    scores = [[0.7, 0.2, 0.1], [0.3, 0.6, 0.1], [0.5, 0.1, 0.4]]
    metrics = classification_metrics(scores, [0, 1, 2], top_k=(1, 2))
    metrics.top_k  # {1: 0.666..., 2: 1.0}
    metrics.roc_auc  # 1.0
    ```
    """
    scores, positives = checked_inputs(scores, labels, multi_label)
    accuracies = {}
    if not multi_label:
        hits = {int(k): top_k_hits(scores, labels, k) for k in top_k}
        accuracies = {k: float(values.mean()) for k, values in hits.items()}
    return ClassificationMetrics(
        num_examples=len(scores),
        num_classes=scores.shape[1],
        top_k=accuracies,
        **_ranking_metrics(scores, positives),
    )


def top_k_hits(scores: ArrayLike, labels: ArrayLike, k: int) -> np.ndarray:
    """Computes the probability that the class of a clip is among the `k` best.

    It is 0 or 1, unless other classes have the same score as that of the clip.

    Args:
        scores: float array of shape `(clips, classes)`.
        labels: int array of shape `(clips,)`.
        k: int. At least 1.

    Returns:
        float64 array of shape `(clips,)`, whose mean is top-k accuracy.

    Raises:
        ValueError: see `classification_metrics`; or if `k` is less than 1.

    Example:
    ```python
    from keras_vatt.metrics import top_k_hits

    top_k_hits([[0.7, 0.3], [0.7, 0.3], [0.5, 0.5]], [0, 1, 1], k=1)  # [1, 0, 0.5]
    ```
    """
    if k < 1:
        raise ValueError(f"`k` of top-k must be at least 1. Received: {k}")
    scores = _checked_scores(scores)
    labels = _checked_classes(labels, scores.shape)
    of_label = np.take_along_axis(scores, labels[:, None], axis=1)
    ahead = (scores > of_label).sum(axis=1)
    tied = (scores == of_label).sum(axis=1)
    return np.clip((k - ahead) / tied, 0, 1)


def multi_hot(labels: Sequence[Iterable[int]], num_classes: int) -> np.ndarray:
    """Converts lists of class indices to rows of 0s and 1s.

    Args:
        labels: list of lists of ints. Classes of each clip, any number of them.
        num_classes: int. Number of classes.

    Returns:
        int8 array of shape `(clips, num_classes)`.

    Raises:
        ValueError: if an index is not in `[0, num_classes)`.

    Example:
    ```python
    from keras_vatt.metrics import multi_hot

    multi_hot([(0, 2), ()], num_classes=3)  # [[1, 0, 1], [0, 0, 0]]
    ```
    """
    rows = np.zeros((len(labels), num_classes), np.int8)
    for row, classes in zip(rows, labels, strict=True):
        indices = np.asarray(list(classes), np.int64)
        _refuse_other_classes(indices, num_classes)
        row[indices] = 1
    return rows


def checked_inputs(scores, labels, multi_label):
    """Checks scores and labels.

    Args:
        scores: see `classification_metrics`.
        labels: see `classification_metrics`.
        multi_label: see `classification_metrics`.

    Returns:
        Tuple of the scores as float64 and of the positives as bool, both of shape
        `(clips, classes)`.

    Raises:
        ValueError: see `classification_metrics`.
    """
    scores = _checked_scores(scores)
    if multi_label:
        return scores, _checked_multi_hot(labels, scores.shape)
    labels = _checked_classes(labels, scores.shape)
    return scores, labels[:, None] == np.arange(scores.shape[1])


def _ranking_metrics(scores, positives):
    num_positives = positives.sum(axis=0)
    num_negatives = len(scores) - num_positives
    classes = np.flatnonzero((num_positives > 0) & (num_negatives > 0))
    precisions = [
        average_precision_score(positives[:, c], scores[:, c]) for c in classes
    ]
    areas = np.array([roc_auc_score(positives[:, c], scores[:, c]) for c in classes])
    half_a_pair = 0.5 / (num_positives[classes] * num_negatives[classes])
    finite_areas = np.clip(areas, half_a_pair, 1 - half_a_pair)
    return {
        "mean_average_precision": _mean(precisions),
        "roc_auc": _mean(areas),
        "d_prime": _mean(np.sqrt(2) * norm.ppf(finite_areas)),
        "num_classes_without_positives": int((num_positives == 0).sum()),
        "num_classes_without_negatives": int((num_negatives == 0).sum()),
        "num_classes_with_clipped_d_prime": int((areas != finite_areas).sum()),
    }


def _mean(values):
    return float(np.mean(values)) if len(values) else float("nan")


def _checked_scores(scores):
    scores = np.asarray(scores, np.float64)
    if scores.ndim != 2 or 0 in scores.shape:
        raise ValueError(
            "`scores` must have shape `(clips, classes)` with at least one of each. "
            f"Received shape: {scores.shape}"
        )
    bad = np.flatnonzero(~np.isfinite(scores).all(axis=1))
    if bad.size:
        raise ValueError(
            f"`scores` must be finite. Received a NaN or infinity for {bad.size} of "
            f"{len(scores)} clips, first for clip {bad[0]}."
        )
    return scores


def _checked_classes(labels, shape):
    labels = np.asarray(labels)
    if labels.shape != shape[:1] or labels.dtype.kind not in "iu":
        raise ValueError(
            f"`labels` must be {shape[0]} ints, one for each row of `scores` (for "
            "several labels per clip, pass `multi_label=True`). "
            f"Received: {labels.dtype} of shape {labels.shape}"
        )
    labels = labels.astype(np.int64)
    _refuse_other_classes(labels, shape[1])
    return labels


def _checked_multi_hot(labels, shape):
    labels = np.asarray(labels)
    if labels.shape != shape or not np.isin(labels, (0, 1)).all():
        raise ValueError(
            "With `multi_label=True`, `labels` must be 0s and 1s (see `multi_hot`) of "
            f"shape {shape}. Received: {labels.dtype} of shape {labels.shape}"
        )
    return labels.astype(bool)


def _refuse_other_classes(labels, num_classes):
    if labels.size and not 0 <= labels.min() <= labels.max() < num_classes:
        raise ValueError(
            f"Labels must be from 0 to {num_classes - 1}, as there are {num_classes} "
            f"classes. Received labels from {labels.min()} to {labels.max()}."
        )
