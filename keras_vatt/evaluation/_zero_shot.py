"""Test clips among the classes of a dataset by the names of the classes alone."""

import numpy as np

from keras_vatt.evaluation._class_scores import class_results
from keras_vatt.evaluation._clip_sets import some_of
from keras_vatt.evaluation._errors import EvaluationError
from keras_vatt.inference._batch_encoder import BatchEncoder
from keras_vatt.inference._clip_decoder import ClipDecoder
from keras_vatt.inference._embed_clips import embed_clips
from keras_vatt.inference._pooled_encoder import PooledEncoder
from keras_vatt.models._zero_shot import label_embeddings

# The temperature of VATT's loss, see `keras_vatt.zero_shot_classify`.
_TEMPERATURE = 0.07


def evaluate_zero_shot(model, splits, settings, open_store):
    """Computes the metrics of zero-shot classification of each split.

    The logits of a clip are the cosine similarities of its embedding, a mean over
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
    modality = settings.modality
    labels = {s: _labels(model, read, settings) for s, read in splits.items()}
    tests = {s: some_of(read.test, settings.limit) for s, read in splits.items()}
    features, findings = embed_clips(
        [clip.segment for clips in tests.values() for clip in clips],
        ClipDecoder(
            modality,
            model.preprocessor.clip_spec,
            settings.num_windows,
            settings.num_crops,
            settings.short_clips,
        ),
        BatchEncoder(PooledEncoder(model.backbone, modality, model.bridge_head)),
        open_store(modality),
        settings,
        "test clips",
    )
    name = "to_video" if modality == "audio" else "to_text"
    logits = {
        split: {
            clip.segment: _logits(features[clip.segment][name], labels[split])
            for clip in clips
            if clip.segment in features
        }
        for split, clips in tests.items()
    }
    return class_results(logits, tests, splits), findings


def _labels(model, read, settings):
    if not read.class_names:
        raise EvaluationError(f"{read.name} has captions, not classes")
    texts = [name.replace("_", " ") for name in read.class_names]
    try:
        return label_embeddings(model, settings.modality, texts, settings.templates)
    except ValueError as error:
        raise EvaluationError(str(error)) from error


def _logits(rows, labels):
    mean = rows.mean(axis=0, dtype=np.float64)
    return (mean / np.linalg.norm(mean) @ labels.T / _TEMPERATURE)[np.newaxis]
