"""Linear probes of scikit-learn, on standardized features."""

import warnings

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold, StratifiedKFold
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from keras_vatt.metrics._classification import classification_metrics

# Values of `C` that cross-validation tries.
_REGULARIZATIONS = tuple(10.0**power for power in range(-5, 3))
_SVM_REGULARIZATION = 6e-5
_NUM_FOLDS = 5


def logistic_regression_scores(
    train_features, train_labels, test_features, num_classes, regularization, seed
):
    """Computes the probabilities of the test features, and returns them with `C`."""
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    if regularization is None:
        largest = np.bincount(train_labels).max()
        if largest < 2:
            raise ValueError(
                "Cross-validation needs a class with at least two train clips. Pass "
                "`regularization`, such as 1.0, to train without it."
            )
        num_folds = min(_NUM_FOLDS, largest)
        folds = StratifiedKFold(num_folds, shuffle=True, random_state=seed)
        regularization = _best_regularization(
            classifier, "logisticregression__C", train_features, train_labels, folds
        )
    classifier.set_params(logisticregression__C=regularization)
    classifier.fit(train_features, train_labels)
    # Classes that the train set lacks have a probability of 0.
    scores = np.zeros((len(test_features), num_classes))
    scores[:, classifier.classes_] = classifier.predict_proba(test_features)
    return scores, regularization


def one_vs_rest_scores(
    train_features, train_labels, test_features, regularization, seed
):
    """Computes probabilities by a logistic regression per class, for several labels."""
    each = OneVsRestClassifier(LogisticRegression(max_iter=2000))
    classifier = make_pipeline(StandardScaler(), each)
    name = "onevsrestclassifier__estimator__C"
    with warnings.catch_warnings():
        # A class without positives (or negatives) gets the same score for all clips.
        warnings.filterwarnings("ignore", "Label .* is present in", UserWarning)
        if regularization is None:
            if len(train_labels) < 2:
                raise ValueError(
                    "Cross-validation needs at least two train clips. Pass "
                    "`regularization`, such as 1.0, to train without it."
                )
            num_folds = min(_NUM_FOLDS, len(train_labels))
            folds = KFold(num_folds, shuffle=True, random_state=seed)
            regularization = _best_regularization(
                classifier, name, train_features, train_labels, folds, _mean_precision
            )
        classifier.set_params(**{name: regularization})
        classifier.fit(train_features, train_labels)
    return classifier.predict_proba(test_features), regularization


def svm_scores(
    train_features, train_labels, test_features, num_classes, regularization, seed
):
    """Computes the margins of the test features, and returns them with `C`."""
    if regularization is None:
        regularization = _SVM_REGULARIZATION
    svm = LinearSVC(C=regularization, random_state=seed)
    classifier = make_pipeline(StandardScaler(), svm).fit(train_features, train_labels)
    margins = classifier.decision_function(test_features)
    if margins.ndim == 1:
        margins = np.stack([-margins, margins], axis=1)
    # Classes that the train set lacks come last.
    scores = np.full((len(test_features), num_classes), margins.min() - 1)
    scores[:, classifier.classes_] = margins
    return scores, regularization


def _best_regularization(classifier, name, features, labels, folds, scoring=None):
    """Returns the best `C` of a cross-validation, the smallest of equals."""
    grid = {name: _REGULARIZATIONS}
    search = GridSearchCV(classifier, grid, cv=folds, scoring=scoring, refit=False)
    with warnings.catch_warnings():
        # A class with fewer clips than folds is absent from some folds.
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        return search.fit(features, labels).best_params_[name]


def _mean_precision(classifier, features, labels):
    metrics = classification_metrics(classifier.predict_proba(features), labels, True)
    # A fold without a class to rank counts the same for every `C`.
    return np.nan_to_num(metrics.mean_average_precision)
