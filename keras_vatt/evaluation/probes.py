"""Probes: how well a simple classifier tells classes apart by frozen features."""

import dataclasses
import warnings

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from keras_vatt.evaluation.bottleneck_probe import bottleneck_probabilities
from keras_vatt.evaluation.classification import (
    ClassificationMetrics,
    classification_metrics,
)

_METHODS = ("logistic_regression", "vatt", "svm")
# scikit-learn's `C` that cross-validation tries.
_REGULARIZATIONS = tuple(10.0**power for power in range(-5, 3))
_SVM_REGULARIZATION = 6e-5
_NUM_FOLDS = 5


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
      features as they are (`vatt/experiments/linear` of google-research).
    - `"svm"`: scikit-learn's `LinearSVC(C=6e-5)` on standardized features, an
      alternative that the authors' code mentions; MMV's linear evaluation
      (arXiv:2006.16228) trains a linear SVM too.

    Test clips may have several windows, whose probabilities (margins of the SVM) are
    averaged; the paper's have 4. It trains on one window of each clip.

    Args:
        train_features: float array of shape `(clips, dim)`, such as
            `features_pooled` of `VATT.encode`.
        train_labels: int array of shape `(clips,)`.
        test_features: float array of shape `(clips, dim)` or `(clips, windows, dim)`.
        test_labels: int array of shape `(clips,)`.
        method: `"logistic_regression"`, `"vatt"` or `"svm"`. Defaults to
            `"logistic_regression"`.
        seed: int. The result is the same for the same seed, but for rounding that may
            depend on the machine. Defaults to 1, as in the authors' code.
        num_classes: int, or `None` for one more than the highest label. Defaults to
            `None`.
        regularization: float, `C` of scikit-learn. Defaults to `None`:
            cross-validation for logistic regression, 6e-5 for the SVM.
        epochs: int, passes over the train set with `"vatt"`. Defaults to 1000.
        batch_size: int, with `"vatt"`. Defaults to 64.
        top_k: ints, the `k` of top-k accuracy. Defaults to `(1, 5)`.
        verbose: `verbose` of `keras.Model.fit`, with `"vatt"`. Defaults to 0.

    Returns:
        `ProbeResult`.

    Raises:
        ValueError: if shapes or labels don't fit, a feature is not finite, the train
            set has only one class, no class has two train clips to choose
            `regularization` by, or `regularization` is given for `"vatt"`.

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
    if method not in _METHODS:
        raise ValueError(f"`method` must be one of {_METHODS}. Received: {method!r}")
    if method == "vatt" and regularization is not None:
        raise ValueError(
            '`regularization` is not for `method="vatt"`, whose penalty is fixed.'
        )
    train_features = _checked_features(train_features, "train_features", (2,))
    test_features = _checked_features(test_features, "test_features", (2, 3))
    train_labels = _checked_labels(train_labels, train_features, "train_labels")
    test_labels = _checked_labels(test_labels, test_features, "test_labels")
    num_classes = _checked_num_classes(num_classes, train_labels, test_labels)
    if train_features.shape[-1] != test_features.shape[-1]:
        raise ValueError(
            "Train and test features must be of one size. Received: "
            f"{train_features.shape[-1]} and {test_features.shape[-1]}"
        )
    windows = test_features.reshape(-1, test_features.shape[-1])
    if method == "vatt":
        scores = bottleneck_probabilities(
            train_features,
            train_labels,
            windows,
            num_classes,
            epochs=epochs,
            batch_size=batch_size,
            seed=seed,
            verbose=verbose,
        )
    else:
        classifier = _FITS[method](train_features, train_labels, regularization, seed)
        regularization = classifier[-1].C
        scores = _SCORES[method](classifier, windows, num_classes)
    scores = scores.reshape(len(test_features), -1, num_classes).mean(axis=1)
    metrics = classification_metrics(scores, test_labels, top_k=top_k)
    return ProbeResult(metrics, scores, method, regularization)


def _fit_logistic_regression(features, labels, regularization, seed):
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    if regularization is not None:
        classifier.set_params(logisticregression__C=regularization)
        return classifier.fit(features, labels)
    largest = np.bincount(labels).max()
    if largest < 2:
        raise ValueError(
            "Cross-validation needs a class with at least two train clips. Pass "
            "`regularization`, such as 1.0, to train without it."
        )
    folds = StratifiedKFold(min(_NUM_FOLDS, largest), shuffle=True, random_state=seed)
    grid = {"logisticregression__C": _REGULARIZATIONS}
    with warnings.catch_warnings():
        # A class may have fewer clips than there are folds: some folds then lack it.
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        search = GridSearchCV(classifier, grid, cv=folds).fit(features, labels)
    return search.best_estimator_


def _fit_svm(features, labels, regularization, seed):
    if regularization is None:
        regularization = _SVM_REGULARIZATION
    svm = LinearSVC(C=regularization, random_state=seed)
    return make_pipeline(StandardScaler(), svm).fit(features, labels)


def _probabilities(classifier, features, num_classes):
    """Classes that the train set lacks have a probability of 0."""
    scores = np.zeros((len(features), num_classes))
    scores[:, classifier.classes_] = classifier.predict_proba(features)
    return scores


def _margins(classifier, features, num_classes):
    margins = classifier.decision_function(features)
    if margins.ndim == 1:
        margins = np.stack([-margins, margins], axis=1)
    # Classes that the train set lacks come last.
    scores = np.full((len(features), num_classes), margins.min() - 1)
    scores[:, classifier.classes_] = margins
    return scores


_FITS = {"logistic_regression": _fit_logistic_regression, "svm": _fit_svm}
_SCORES = {"logistic_regression": _probabilities, "svm": _margins}


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


def _checked_num_classes(num_classes, train_labels, test_labels):
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
