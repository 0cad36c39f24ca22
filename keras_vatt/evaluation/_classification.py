"""A fine-tuned classifier on the test clips of a set."""

import numpy as np

from keras_vatt.evaluation._class_scores import class_results
from keras_vatt.evaluation._clip_sets import some_of
from keras_vatt.evaluation._errors import EvaluationError
from keras_vatt.inference._batch_encoder import BatchEncoder
from keras_vatt.inference._clip_decoder import ClipDecoder
from keras_vatt.inference._embed_clips import embed_clips


def evaluate_classification(classifier, splits, settings, open_store):
    """Logits averaged over windows and crops, against the labels.

    Args:
        classifier: `keras_vatt.VATTVideoClassifier`, `VATTAudioClassifier` or
            `VATTImageClassifier`.
        splits: dict from split to `LabeledDataset`.
        settings: `EvaluationSettings`.
        open_store: function from a name to a `FeatureStore`.

    Returns:
        Tuple of a dict from split to `EvaluationResult`, and a list of `Finding`.

    Raises:
        EvaluationError: if the classes of the preset are not those of the set.
    """
    orders = {s: class_order(classifier, read) for s, read in splits.items()}
    tests = {s: some_of(read.test, settings.limit) for s, read in splits.items()}
    features, findings = embed_clips(
        [clip.segment for clips in tests.values() for clip in clips],
        ClipDecoder(
            settings.modality,
            classifier.preprocessor.clip_spec,
            settings.num_windows,
            settings.num_crops,
            settings.short_clips,
        ),
        BatchEncoder(classifier),
        open_store(settings.modality),
        settings,
        "test clips",
    )
    logits = {
        split: {
            clip.segment: features[clip.segment]["logits"][:, orders[split]]
            for clip in clips
            if clip.segment in features
        }
        for split, clips in tests.items()
    }
    return class_results(logits, tests, splits), findings


def class_order(classifier, read):
    """For each class of a set, its place among the logits.

    Args:
        classifier: with `num_classes`, and `class_names` where it knows them.
        read: `LabeledDataset`.

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
