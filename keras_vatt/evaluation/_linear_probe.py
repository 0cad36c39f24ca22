"""A classifier trained on frozen features."""

import numpy as np

from keras_vatt.evaluation import (
    EvaluationResult,
    classification_intervals,
    linear_probe,
    mean_over_splits,
)
from keras_vatt.evaluation._clip_sets import some_of
from keras_vatt.evaluation._errors import EvaluationError
from keras_vatt.inference._batch_encoder import TOWERS, BatchEncoder
from keras_vatt.inference._clip_decoder import ClipDecoder
from keras_vatt.inference._embed_clips import embed_clips, stacked
from keras_vatt.inference._pooled_encoder import PooledEncoder


def evaluate_linear_probe(model, splits, settings, open_store):
    """A probe on the pooled features of each split, and the mean over splits.

    It trains on the middle of each train clip, without augmentation, and tests on
    several windows of each test clip, as VATT does.

    Args:
        model: a VATT task with backbone and preprocessor.
        splits: dict from split to `LabeledDataset`.
        settings: `EvaluationSettings`.
        open_store: function from a name to a `FeatureStore`.

    Returns:
        Tuple of a dict from split to `EvaluationResult`, and a list of `Finding`.

    Raises:
        EvaluationError: if the set can't be probed.
    """
    modality = settings.modality
    _check(model, splits, modality)
    train = {s: some_of(read.train, settings.limit) for s, read in splits.items()}
    test = {s: some_of(read.test, settings.limit) for s, read in splits.items()}
    encoder = BatchEncoder(PooledEncoder(model.backbone, modality))
    spec = model.preprocessor.clip_spec
    rule = settings.short_clips
    middle = ClipDecoder(modality, spec, 1, 1, rule)
    windows = ClipDecoder(
        modality, spec, settings.num_windows, settings.num_crops, rule
    )
    # All splits at once: their clips are the same.
    features, findings = {}, []
    for name, parts, decoder in (("train", train, middle), ("test", test, windows)):
        segments = [clip.segment for clips in parts.values() for clip in clips]
        store = open_store(f"{modality}_{name}")
        features[name], found = embed_clips(
            segments, decoder, encoder, store, settings, f"{name} clips"
        )
        findings += found
    results, metrics = {}, []
    for split, read in splits.items():
        result = _probe(train[split], test[split], features, read, settings)
        results[f"{read.name} split {split}"] = result
        metrics.append(result.metrics.metrics)
    if len(metrics) > 1:
        results[f"mean over {len(metrics)} splits"] = mean_over_splits(metrics)
    return results, list(dict.fromkeys(findings))


def _check(model, splits, modality):
    if TOWERS[modality] not in model.backbone.modalities:
        raise EvaluationError(
            f"the preset has no {modality}, it has {list(model.backbone.modalities)}"
        )
    for read in splits.values():
        if not read.class_names:
            raise EvaluationError(f"{read.name} has captions, not classes")
        if read.multi_label:
            raise EvaluationError(
                f"clips of {read.name} have several classes, which a probe can't "
                "learn: fine-tune a classifier and use --task classification"
            )


def _probe(train, test, features, read, settings):
    train = [clip for clip in train if clip.segment in features["train"]]
    test = [clip for clip in test if clip.segment in features["test"]]
    if not train or not test:
        part = "test" if train else "train"
        raise EvaluationError(f"no {part} clip of {read.name} can be used")
    test_labels = _labels(test)
    try:
        probe = linear_probe(
            _features(train, features["train"])[:, 0],
            _labels(train),
            _features(test, features["test"]),
            test_labels,
            method=settings.method,
            num_classes=len(read.class_names),
        )
    except ValueError as error:  # Such as only one class in the train part.
        raise EvaluationError(str(error)) from error
    intervals = classification_intervals(probe.probabilities, test_labels)
    return EvaluationResult(probe, intervals)


def _features(clips, features):
    return stacked(features, [clip.segment for clip in clips], "features_pooled")


def _labels(clips):
    return np.array([clip.labels[0] for clip in clips])
