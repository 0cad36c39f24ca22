"""Zero-shot classification: clips compared with the names of the classes."""

import numpy as np

from keras_vatt.evaluation._class_scores import check_classes, evaluate_classes
from keras_vatt.evaluation._errors import EvaluationError
from keras_vatt.inference._encoder import VATTEncoder
from keras_vatt.models._zero_shot import label_embeddings

# The temperature of VATT's loss, see `keras_vatt.zero_shot_classify`.
_TEMPERATURE = 0.07


def evaluate_zero_shot(model, splits, settings, open_store):
    """Computes the metrics of zero-shot classification of each split.

    The logits of a clip are the cosine similarities of its embedding, averaged over
    windows and crops, to those of the names of the classes, divided by the temperature.

    Args:
        model: `keras_vatt.VATT`.
        splits: dict from split to `LabeledDataset`.
        settings: `EvaluationSettings`.
        open_store: function from a name to a `FeatureStore`.

    Returns:
        Tuple of a dict from split to `EvaluationResult`, and a list of `Finding`.

    Raises:
        EvaluationError: if the dataset has no classes, or the model can't compare its
            clips with their names.
    """
    labels = {s: _labels(model, read, settings) for s, read in splits.items()}
    name = "to_video" if settings.modality == "audio" else "to_text"

    def logits_of(split, outputs):
        return _logits(outputs[name], labels[split])

    encode = VATTEncoder(model.backbone, model.bridge_head)
    return evaluate_classes(model, encode, logits_of, splits, settings, open_store)


def _labels(model, read, settings):
    check_classes(read)
    texts = [name.replace("_", " ") for name in read.class_names]
    try:
        return label_embeddings(model, settings.modality, texts, settings.templates)
    except ValueError as error:
        raise EvaluationError(str(error)) from error


def _logits(windows, labels):
    mean = windows.mean(axis=0, dtype=np.float64)
    return (mean / np.linalg.norm(mean) @ labels.T / _TEMPERATURE)[np.newaxis]
