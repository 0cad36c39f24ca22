"""A fine-tuned classifier on the test clips of a set."""

import numpy as np
import scipy.special

from keras_vatt.evaluation import (
    EvaluationResult,
    classification_intervals,
    classification_metrics,
    mean_over_splits,
    multi_hot,
)
from keras_vatt.evaluation_runs.decoding import ClipDecoder
from keras_vatt.evaluation_runs.embedding import embed_clips, stacked
from keras_vatt.evaluation_runs.encoders import BatchEncoder
from keras_vatt.evaluation_runs.errors import EvaluationError
from keras_vatt.evaluation_runs.sets import some_of


def evaluate_classification(classifier, splits, settings, open_store):
    """Logits averaged over windows and crops, against the labels.

    Args:
        classifier: `keras_vatt.VATTVideoClassifier` or `VATTAudioClassifier`.
        splits: dict from split to `LabelledSet`.
        settings: `EvaluationSettings`.
        open_store: function from a name to a `FeatureStore`.

    Returns:
        Tuple of a dict from split to `EvaluationResult`, and a list of `Finding`.

    Raises:
        EvaluationError: if the classes of the preset are not those of the set.
    """
    modality = classifier.modality
    orders = {s: class_order(classifier, read) for s, read in splits.items()}
    tests = {s: some_of(read.test, settings.limit) for s, read in splits.items()}
    features, findings = embed_clips(
        [clip.segment for clips in tests.values() for clip in clips],
        ClipDecoder(
            modality,
            classifier.preprocessor.clip_spec,
            settings.windows,
            settings.num_crops,
        ),
        BatchEncoder(classifier),
        open_store(modality),
        settings,
        "test clips",
    )
    results = {}
    for split, read in splits.items():
        clips = [clip for clip in tests[split] if clip.segment in features]
        if not clips:
            raise EvaluationError(f"no test clip of {read.name} can be used")
        logits = stacked(features, [clip.segment for clip in clips], "logits")
        logits = logits.mean(axis=1, dtype=np.float64)[:, orders[split]]
        results[f"{read.name} split {split}"] = _result(logits, clips, read)
    if len(results) > 1:
        metrics = [result.metrics for result in results.values()]
        results[f"mean over {len(metrics)} splits"] = mean_over_splits(metrics)
    return results, findings


def class_order(classifier, read):
    """For each class of a set, its place among the logits.

    Args:
        classifier: with `num_classes`, and `class_names` where it knows them.
        read: `LabelledSet`.

    Returns:
        int array of shape `(classes,)`.

    Raises:
        EvaluationError: if numbers or names of classes differ.
    """
    given, expected = classifier.num_classes, len(read.class_names)
    if not expected:
        raise EvaluationError(f"{read.name} has captions, not classes")
    if given != expected:
        raise EvaluationError(
            f"the preset tells {given} classes apart, {read.name} has {expected}"
        )
    names = getattr(classifier, "class_names", None)
    if names is None and read.name == "folders":
        raise EvaluationError(
            "the preset has no names of its classes, so that nobody knows which folder "
            "is which: load the classifier, and save it with `class_names`"
        )
    if names is None:
        return np.arange(given)
    places = {_plain(name): place for place, name in enumerate(names)}
    unknown = [name for name in read.class_names if _plain(name) not in places]
    if unknown or len(places) < given:
        raise EvaluationError(
            f"the preset has other classes than {read.name}, in which it does not "
            f"know {(unknown or list(read.class_names))[0]!r}"
        )
    return np.array([places[_plain(name)] for name in read.class_names])


def _plain(name):
    """`"Apply_Eye makeup"` and `"ApplyEyeMakeup"` are one class."""
    return "".join(filter(str.isalnum, str(name).casefold())) or str(name)


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
