"""Probes: simple classifiers that are trained on frozen features."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from keras_vatt._choices import check_choice
from keras_vatt.evaluation._bottleneck_probe import bottleneck_probabilities
from keras_vatt.evaluation._scikit_probes import (
    logistic_regression_scores,
    one_vs_rest_scores,
    svm_scores,
)
from keras_vatt.metrics._classification import (
    ClassificationMetrics,
    classification_metrics,
)

_METHODS = ("logistic_regression", "vatt", "svm")


@dataclasses.dataclass(frozen=True, eq=False)
class ProbeResult:
    """The result of a probe.

    Args:
        metrics: `ClassificationMetrics` of the test clips.
        probabilities: float64 array of shape `(clips, classes)`, averaged over the
            windows of each clip. With `method="svm"`, margins instead of
            probabilities.
        method: string. Method of the probe.
        regularization: float. The `C` of scikit-learn (a smaller one regularizes more);
            `None` with `method="vatt"`.
    """

    metrics: ClassificationMetrics
    probabilities: np.ndarray
    method: str
    regularization: float | None


def linear_probe(
    train_features: ArrayLike,
    train_labels: ArrayLike,
    test_features: ArrayLike,
    test_labels: ArrayLike,
    method: Literal["logistic_regression", "vatt", "svm"] = "logistic_regression",
    seed: int = 1,
    multi_label: bool = False,
    num_classes: int | None = None,
    regularization: float | None = None,
    epochs: int = 1000,
    batch_size: int = 64,
    top_k: Iterable[int] = (1, 5),
    verbose: int | str = 0,
) -> ProbeResult:
    """Trains a classifier on frozen features, and tests it.

    - `"logistic_regression"`: multinomial logistic regression with an L2 penalty, on
      features that are standardized by the mean and standard deviation of the train
      set. Its `C` is the one with the best accuracy in 5-fold cross-validation on the
      train set (the smallest of equals). The test set has no influence on it.
    - `"vatt"`: the "linear" evaluation of the authors, which has a bottleneck: a layer
      of 128 units without activation, dropout of 0.9, and a softmax layer with an L2
      penalty of 0.1, trained by Adam with a learning rate of 5e-4 on features that are
      not standardized (`vatt/utils/eval/evaluators.py` of google-research).
    - `"svm"`: scikit-learn's `LinearSVC(C=6e-5)` on standardized features. The
      authors' code has it in a comment, on features that are not standardized.

    The probe trains on one window per clip. Test clips may have several windows, 4 in
    the paper, whose probabilities (margins of the SVM) are averaged.

    Args:
        train_features: float array of shape `(clips, dim)`, such as
            `features_pooled` of `VATT.encode`.
        train_labels: int array of shape `(clips,)`. With `multi_label`, 0s and 1s of
            shape `(clips, classes)`.
        test_features: float array of shape `(clips, dim)` or `(clips, windows, dim)`.
        test_labels: see `train_labels`.
        method: string. `"logistic_regression"`, `"vatt"` or `"svm"`. Defaults to
            `"logistic_regression"`.
        seed: int. The same seed gives the same result, except for rounding that may
            depend on the machine. Defaults to `1`, as in the authors' code.
        multi_label: bool. Whether a clip may have any number of classes. Only for
            logistic regression, which then has one classifier per class, and the `C`
            with the best mean average precision. Defaults to `False`.
        num_classes: int. Number of classes. Defaults to `None`, one more than the
            highest label.
        regularization: float. The `C` of scikit-learn. Defaults to `None`:
            cross-validation for logistic regression, 6e-5 for the SVM.
        epochs: int. Number of epochs of `"vatt"`. Defaults to `1000`.
        batch_size: int. Number of clips per batch of `"vatt"`. Defaults to `64`.
        top_k: ints. The `k` of top-k accuracy. Defaults to `(1, 5)`.
        verbose: `verbose` of `keras.Model.fit` for `"vatt"`; `1` shows the progress of
            all epochs. Defaults to `0`.

    Returns:
        `ProbeResult`.

    Raises:
        ValueError: if shapes or labels don't match, a feature is not finite, the train
            set has only one class, no class has the two train clips that
            cross-validation needs, or the method does not have an option.

    Example:
    ```python
    import numpy as np

    from keras_vatt.evaluation import linear_probe

    generator = np.random.default_rng(0)
    labels = np.arange(60) % 3
    features = generator.normal(size=(60, 8)) + 4 * np.eye(8)[labels]
    windows = features[:, None] + generator.normal(size=(60, 4, 8))
    result = linear_probe(features, labels, windows, labels, regularization=0.1)
    result.metrics.top_1  # 1.0
    ```
    """
    _check_options(method, multi_label, regularization, epochs, batch_size)
    train_features = _checked_features(train_features, "train_features", (2,))
    test_features = _checked_features(test_features, "test_features", (2, 3))
    if train_features.shape[-1] != test_features.shape[-1]:
        raise ValueError(
            "Train and test features must have the same size. Received: "
            f"{train_features.shape[-1]} and {test_features.shape[-1]}"
        )
    check = _checked_multi_hot if multi_label else _checked_labels
    train_labels = check(train_labels, train_features, "train_labels")
    test_labels = check(test_labels, test_features, "test_labels")
    count = _count_of_multi_hot if multi_label else _count_of_classes
    num_classes = count(num_classes, train_labels, test_labels)

    windows = test_features.reshape(-1, test_features.shape[-1])
    data = (train_features, train_labels, windows)
    if method == "vatt":
        training = {"epochs": epochs, "batch_size": batch_size, "verbose": verbose}
        scores = bottleneck_probabilities(*data, num_classes, seed=seed, **training)
    elif multi_label:
        scores, regularization = one_vs_rest_scores(*data, regularization, seed)
    else:
        fit = svm_scores if method == "svm" else logistic_regression_scores
        scores, regularization = fit(*data, num_classes, regularization, seed)
    scores = scores.reshape(len(test_features), -1, num_classes).mean(axis=1)
    metrics = classification_metrics(scores, test_labels, multi_label, top_k)
    return ProbeResult(metrics, scores, method, regularization)


def _check_options(method, multi_label, regularization, epochs, batch_size):
    check_choice("method", method, _METHODS)
    if method == "vatt" and regularization is not None:
        raise ValueError(
            '`method="vatt"` has a fixed penalty. Pass `regularization=None`.'
        )
    if multi_label and method != "logistic_regression":
        raise ValueError(
            '`multi_label=True` needs `method="logistic_regression"`. '
            f"Received: {method!r}"
        )
    if epochs < 1 or batch_size < 1:
        raise ValueError(
            "`epochs` and `batch_size` must be at least 1. "
            f"Received: {epochs} and {batch_size}"
        )


def _checked_features(features, name, dimensions):
    features = np.asarray(features)
    if features.ndim not in dimensions or 0 in features.shape:
        shapes = "`(clips, dim)`" + (" or `(clips, windows, dim)`" * (3 in dimensions))
        raise ValueError(
            f"`{name}` must have shape {shapes} with at least one of each. "
            f"Received shape: {features.shape}"
        )
    features = features.astype(np.float64)
    if not np.isfinite(features).all():
        raise ValueError(f"`{name}` must be finite. Received a NaN or infinity.")
    return features


def _checked_labels(labels, features, name):
    labels = np.asarray(labels)
    if labels.shape != (len(features),) or labels.dtype.kind not in "iu":
        raise ValueError(
            f"`{name}` must be {len(features)} ints, one class for each clip. "
            f"Received: {labels.dtype} of shape {labels.shape}"
        )
    if labels.min() < 0:
        raise ValueError(f"`{name}` must not be negative. Received: {labels.min()}")
    return labels.astype(np.int64)


def _checked_multi_hot(labels, features, name):
    labels = np.asarray(labels)
    if labels.ndim != 2 or labels.shape[1] < 2 or not np.isin(labels, (0, 1)).all():
        raise ValueError(
            f"With `multi_label=True`, `{name}` must be 0s and 1s of shape "
            "`(clips, classes)` with at least two classes (see `multi_hot`). "
            f"Received: {labels.dtype} of shape {labels.shape}"
        )
    if len(labels) != len(features):
        raise ValueError(
            f"`{name}` must have a row for each of {len(features)} clips. "
            f"Received shape: {labels.shape}"
        )
    return labels.astype(np.int64)


def _count_of_multi_hot(num_classes, train_labels, test_labels):
    counts = {train_labels.shape[1], test_labels.shape[1]}
    counts |= {num_classes} - {None}
    if len(counts) > 1:
        raise ValueError(
            "Train labels, test labels and `num_classes` must agree on the number of "
            f"classes. Received: {train_labels.shape[1]}, {test_labels.shape[1]} and "
            f"{num_classes}"
        )
    return train_labels.shape[1]


def _count_of_classes(num_classes, train_labels, test_labels):
    if len(np.unique(train_labels)) < 2:
        raise ValueError(
            "The train set must have at least two classes. Received only class "
            f"{train_labels[0]}."
        )
    least = int(max(train_labels.max(), test_labels.max())) + 1
    if num_classes is not None and num_classes < least:
        raise ValueError(
            f"There are labels up to {least - 1}, so there must be at least {least} "
            f"classes. Received: num_classes={num_classes}"
        )
    return num_classes or least
