"""How well clips are classified: accuracy, average precision, ROC-AUC, d-prime."""

import dataclasses

import numpy as np
from scipy.stats import norm
from sklearn.metrics import average_precision_score, roc_auc_score


@dataclasses.dataclass(frozen=True)
class ClassificationMetrics:
    """How well the classes of clips are told apart.

    Average precision, ROC-AUC and d-prime are of each class against the rest, then
    averaged over the classes that have both positive and negative clips; the other
    classes are left out and counted. They are NaN if no class is left.

    Args:
        num_examples: int, clips.
        num_classes: int, classes that have a score.
        top_k: dict from `k` to the share of clips whose class is among the `k`
            highest scores. Empty for several labels a clip.
        mean_average_precision: float, macro average.
        roc_auc: float, macro average of the areas under the ROC curves.
        d_prime: float, `sqrt(2) * ppf(area)` of each class, then averaged, where
            `ppf` is the inverse of the normal distribution function. An area of
            exactly 1 (or 0), of which d-prime is infinite, is taken as half a pair
            of clips less (more): `1 - 1 / (2 * positives * negatives)`.
        num_classes_without_positives: int, classes of no clip, left out.
        num_classes_without_negatives: int, classes of all clips, left out.
        num_classes_with_clipped_d_prime: int, classes whose area was 1 or 0.
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
    def top_1(self):
        """Share of clips whose class has the highest score, if it was asked for."""
        return self.top_k.get(1)

    @property
    def top_5(self):
        """Share of clips whose class is among 5 scores, if it was asked for."""
        return self.top_k.get(5)


def classification_metrics(scores, labels, multi_label=False, top_k=(1, 5)):
    """Compare scores of classes with the labels of clips.

    The measures of section 4 of the VATT paper (arXiv:2104.11178): top-1 and top-5
    accuracy for Kinetics, Moments in Time and ImageNet; mAP, AUC and d-prime for
    AudioSet. They are computed by scikit-learn, class by class.

    Classes that score the same as the class of the clip come before it in half of all
    orders: top-k accuracy is the expected one, so that a model that gives every class
    the same score is at chance. If there are no more than `k` classes it is 1.

    Mean average precision, ROC-AUC and d-prime rank the clips within each class.
    For one label a clip they thus depend on whether logits or probabilities are given,
    as the softmax divides each clip's scores by another sum; what is usual are
    probabilities. The accuracies, and all measures of several labels a clip under the
    sigmoid, do not depend on it.

    Args:
        scores: float array of shape `(clips, classes)`, logits or probabilities;
            more is more likely.
        labels: int array of shape `(clips,)`, the class of each clip. With
            `multi_label`, 0s and 1s of shape `(clips, classes)` (see `multi_hot`).
        multi_label: bool, whether a clip has any number of classes. Defaults to
            `False`.
        top_k: ints, the `k` of top-k accuracy. Defaults to `(1, 5)`.

    Returns:
        `ClassificationMetrics`.

    Raises:
        ValueError: if shapes don't fit, there is no clip, a score is not finite or a
            label is no class.

    Example:
    ```python
    from keras_vatt.evaluation import classification_metrics

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


def top_k_hits(scores, labels, k):
    """For each clip, the probability that its class is among the `k` highest scores.

    It is 0 or 1 but where other classes score the same as the clip's own.

    Args:
        scores: float array of shape `(clips, classes)`.
        labels: int array of shape `(clips,)`.
        k: int, at least 1.

    Returns:
        float64 array of shape `(clips,)`; its mean is top-k accuracy.

    Raises:
        ValueError: as `classification_metrics`, or if `k` is less than 1.

    Example:
    ```python
    from keras_vatt.evaluation import top_k_hits

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


def multi_hot(labels, num_classes):
    """Turn lists of class indices into rows of 0s and 1s.

    Args:
        labels: list of lists of ints, the classes of each clip; may be empty.
        num_classes: int.

    Returns:
        int8 array of shape `(clips, num_classes)`.

    Raises:
        ValueError: if an index is not in `[0, num_classes)`.

    Example:
    ```python
    from keras_vatt.evaluation import multi_hot

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
    """Scores as float64 and positives as bool, both `(clips, classes)`, or an error."""
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
            "`scores` must have shape `(clips, classes)`, at least one of each. "
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
            "several labels a clip pass `multi_label=True`). "
            f"Received: {labels.dtype} of shape {labels.shape}"
        )
    labels = labels.astype(np.int64)
    _refuse_other_classes(labels, shape[1])
    return labels


def _checked_multi_hot(labels, shape):
    labels = np.asarray(labels)
    if labels.shape != shape or not np.isin(labels, (0, 1)).all():
        raise ValueError(
            f"With `multi_label=True`, `labels` must be 0s and 1s of shape {shape}, as "
            f"`multi_hot` makes them. Received: {labels.dtype} of shape {labels.shape}"
        )
    return labels.astype(bool)


def _refuse_other_classes(labels, num_classes):
    if labels.size and not 0 <= labels.min() <= labels.max() < num_classes:
        raise ValueError(
            f"Labels must be from 0 to {num_classes - 1}, as there are {num_classes} "
            f"classes. Received labels from {labels.min()} to {labels.max()}."
        )
