"""Classification of the test clips of a dataset by the logits of their windows."""

import numpy as np
import scipy.special

from keras_vatt.evaluation._clip_sets import some_of
from keras_vatt.evaluation._errors import EvaluationError
from keras_vatt.evaluation._report import EvaluationResult
from keras_vatt.inference._clip_decoder import ClipDecoder
from keras_vatt.inference._clip_features import clip_features
from keras_vatt.metrics._classification import classification_metrics, multi_hot
from keras_vatt.metrics._intervals import classification_intervals
from keras_vatt.metrics._splits import mean_over_splits


def evaluate_classes(model, encode, logits_of, splits, settings, open_store):
    """Computes the metrics of each split, and their mean.

    Args:
        model: a VATT task with a preprocessor.
        encode: function from a modality and a batch of it to named outputs.
        logits_of: function from a split and the outputs of the encoder for a clip to
            an array of shape `(windows, classes)`, with the classes in the order of the
            dataset.
        splits: dict from split to `LabeledDataset`.
        settings: `EvaluationSettings`.
        open_store: function from a name to a `FeatureStore`.

    Returns:
        Tuple of a dict from split to `EvaluationResult`, and a list of `Finding`.

    Raises:
        EvaluationError: if no test clip of a split can be used.
    """
    tests = {s: some_of(read.test, settings.limit) for s, read in splits.items()}
    features, findings = clip_features(
        [clip.segment for clips in tests.values() for clip in clips],
        ClipDecoder(
            settings.modality,
            model.preprocessor.clip_spec,
            settings.num_windows,
            settings.num_crops,
            settings.short_clips,
        ),
        encode,
        open_store(settings.modality),
        settings,
        "test clips",
    )
    results = {}
    for split, read in splits.items():
        clips = [clip for clip in tests[split] if clip.segment in features]
        if not clips:
            raise EvaluationError(f"no test clip of {read.name} can be used")
        logits = np.stack([logits_of(split, features[clip.segment]) for clip in clips])
        means = logits.mean(axis=1, dtype=np.float64)
        results[f"{read.name} split {split}"] = _result(means, clips, read)
    if len(results) > 1:
        metrics = [result.metrics for result in results.values()]
        results[f"mean over {len(metrics)} splits"] = mean_over_splits(metrics)
    return results, findings


def check_classes(read):
    """Raises an `EvaluationError` if a dataset has no classes.

    Args:
        read: `LabeledDataset`.

    Raises:
        EvaluationError: if it has captions in their place.
    """
    if not read.class_names:
        raise EvaluationError(f"{read.name} has captions, not classes")


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
