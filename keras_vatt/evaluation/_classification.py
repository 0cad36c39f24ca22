"""Evaluation of a fine-tuned classifier on the test clips of a dataset."""

import numpy as np

from keras_vatt.evaluation._class_scores import check_classes, evaluate_classes
from keras_vatt.evaluation._errors import EvaluationError
from keras_vatt.inference._encoder import LogitsEncoder


def evaluate_classification(classifier, splits, settings, open_store):
    """Computes the metrics of logits that are averaged over windows and crops.

    Args:
        classifier: `keras_vatt.VATTVideoClassifier`, `VATTAudioClassifier` or
            `VATTImageClassifier`.
        splits: dict from split to `LabeledDataset`.
        settings: `EvaluationSettings`.
        open_store: function from a name to a `FeatureStore`.

    Returns:
        Tuple of a dict from split to `EvaluationResult`, and a list of `Finding`.

    Raises:
        EvaluationError: if the preset has other classes than the dataset.
    """
    orders = {s: class_order(classifier, read) for s, read in splits.items()}

    def logits_of(split, outputs):
        return outputs["logits"][:, orders[split]]

    encode = LogitsEncoder(classifier)
    return evaluate_classes(classifier, encode, logits_of, splits, settings, open_store)


def class_order(classifier, read):
    """Returns the index of the logit of each class of a dataset.

    Args:
        classifier: has `num_classes`, and may have `class_names`.
        read: `LabeledDataset`.

    Returns:
        int array of shape `(classes,)`.

    Raises:
        EvaluationError: if the number or the names of the classes differ.
    """
    check_classes(read)
    given, expected = classifier.num_classes, len(read.class_names)
    if given != expected:
        raise EvaluationError(
            f"the preset has {given} classes, {read.name} has {expected}"
        )
    names = getattr(classifier, "class_names", None)
    if names is None and read.name == "folders":
        raise EvaluationError(
            "the preset has no names of its classes, so that they can't be matched "
            "with the folders: load the classifier, and save it with `class_names`"
        )
    if names is None:
        return np.arange(given)
    places = {_plain(name): place for place, name in enumerate(names)}
    unknown = [name for name in read.class_names if _plain(name) not in places]
    if unknown or len(places) < given:
        raise EvaluationError(
            f"the preset has other classes than {read.name}: it lacks "
            f"{(unknown or list(read.class_names))[0]!r}"
        )
    return np.array([places[_plain(name)] for name in read.class_names])


def _plain(name):
    """Returns one name for spellings such as "Apply_Eye makeup", "ApplyEyeMakeup"."""
    return "".join(filter(str.isalnum, str(name).casefold())) or str(name)
