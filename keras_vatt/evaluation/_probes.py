"""Probes: how well a simple classifier tells classes apart by frozen features."""

import dataclasses

import numpy as np

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
    """What a probe found.

    Args:
        metrics: `ClassificationMetrics` of the test clips.
        probabilities: float64 array of shape `(clips, classes)`, averaged over the
            windows of each clip. With `method="svm"` these are margins, which are no
            probabilities.
        method: string, the method of the probe.
        regularization: float, scikit-learn's `C` that was used (a smaller one
            regularizes more), or `None` with `method="vatt"`.
    """

    metrics: ClassificationMetrics
    probabilities: np.ndarray
    method: str
    regularization: float | None


def linear_probe(
    train_features,
    train_labels,
    test_features,
    test_labels,
    method="logistic_regression",
    seed=1,
    multi_label=False,
    num_classes=None,
    regularization=None,
    epochs=1000,
    batch_size=64,
    top_k=(1, 5),
    verbose=0,
):
    """Train a classifier on frozen features, and test it.

    - `"logistic_regression"`: multinomial logistic regression with an L2 penalty on
      features standardized by the mean and deviation of the train set. Its `C` is
      the one with the best accuracy in 5-fold cross-validation on the train set (of
      equals the smallest); the test set has no part in it.
    - `"vatt"`: what the authors' code calls linear evaluation, though it is a
      bottleneck: a layer of 128 units without activation, dropout of 0.9, and a
      softmax layer with an L2 penalty of 0.1, trained by Adam at a rate of 5e-4 on
      features as they are (`vatt/utils/eval/evaluators.py` of google-research).
    - `"svm"`: scikit-learn's `LinearSVC(C=6e-5)` on standardized features. The
      authors' code has it in a comment, on features as they are.

    Test clips may have several windows, whose probabilities (margins of the SVM) are
    averaged; the paper's have 4. It trains on one window of each clip.

    Args:
        train_features: float array of shape `(clips, dim)`, such as
            `features_pooled` of `VATT.encode`.
        train_labels: int array of shape `(clips,)`. With `multi_label`, 0s and 1s of
            shape `(clips, classes)`.
        test_features: float array of shape `(clips, dim)` or `(clips, windows, dim)`.
        test_labels: as `train_labels`.
        method: `"logistic_regression"`, `"vatt"` or `"svm"`. Defaults to
            `"logistic_regression"`.
        seed: int. The result is the same for the same seed, but for rounding that may
            depend on the machine. Defaults to 1, as in the authors' code.
        multi_label: bool, whether a clip has any number of classes; only for logistic
            regression, which is then one for each class against the rest, with the
            `C` of the best mean average precision. Defaults to `False`.
        num_classes: int, or `None` for one more than the highest label. Defaults to
            `None`.
        regularization: float, `C` of scikit-learn. Defaults to `None`:
            cross-validation for logistic regression, 6e-5 for the SVM.
        epochs: int, passes over the train set with `"vatt"`. Defaults to 1000.
        batch_size: int, with `"vatt"`. Defaults to 64.
        top_k: ints, the `k` of top-k accuracy. Defaults to `(1, 5)`.
        verbose: `verbose` of `keras.Model.fit`, with `"vatt"`; 1 shows progress over
            all epochs. Defaults to 0.

    Returns:
        `ProbeResult`.

    Raises:
        ValueError: if shapes or labels don't fit, a feature is not finite, the train
            set has only one class, no class has two train clips to choose
            `regularization` by, or an option is not for the method.

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
            "Train and test features must be of one size. Received: "
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
    if method not in _METHODS:
        raise ValueError(f"`method` must be one of {_METHODS}. Received: {method!r}")
    if method == "vatt" and regularization is not None:
        raise ValueError(
            '`regularization` is not for `method="vatt"`, whose penalty is fixed.'
        )
    if multi_label and method != "logistic_regression":
        raise ValueError(
            '`multi_label=True` is only for `method="logistic_regression"`. '
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
            f"`{name}` must have shape {shapes}, at least one of each. "
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
            "`(clips, classes)`, at least two classes, as `multi_hot` makes them. "
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
