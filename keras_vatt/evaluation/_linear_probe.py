"""Evaluation of features by a probe: a linear classifier trained on frozen features."""

import numpy as np

from keras_vatt.evaluation._class_scores import check_classes
from keras_vatt.evaluation._clip_sets import some_of
from keras_vatt.evaluation._errors import EvaluationError
from keras_vatt.evaluation._probes import linear_probe
from keras_vatt.evaluation._report import EvaluationResult
from keras_vatt.inference._clip_decoder import ClipDecoder
from keras_vatt.inference._clip_features import clip_features, stacked
from keras_vatt.inference._encoder import TOWERS, VATTEncoder
from keras_vatt.metrics._intervals import classification_intervals
from keras_vatt.metrics._splits import mean_over_splits


def evaluate_linear_probe(model, splits, settings, open_store):
    """Computes the metrics of a probe on pooled features, per split and as a mean.

    As in VATT, a probe trains on the middle of each train clip without augmentation,
    and is tested on several windows of each test clip.

    Args:
        model: a VATT task with backbone and preprocessor.
        splits: dict from split to `LabeledDataset`.
        settings: `EvaluationSettings`.
        open_store: function from a name to a `FeatureStore`.

    Returns:
        Tuple of a dict from split to `EvaluationResult`, and a list of `Finding`.

    Raises:
        EvaluationError: if the dataset can't be probed.
    """
    modality = settings.modality
    _check(model, splits, modality)
    train = {s: some_of(read.train, settings.limit) for s, read in splits.items()}
    test = {s: some_of(read.test, settings.limit) for s, read in splits.items()}
    encode = VATTEncoder(model.backbone)
    spec = model.preprocessor.clip_spec
    rule = settings.short_clips
    middle = ClipDecoder(modality, spec, 1, 1, rule)
    windows = ClipDecoder(
        modality, spec, settings.num_windows, settings.num_crops, rule
    )
    # All splits at once, since they have the same clips.
    features, findings = {}, []
    for name, parts, decoder in (("train", train, middle), ("test", test, windows)):
        segments = [clip.segment for clips in parts.values() for clip in clips]
        store = open_store(f"{modality}_{name}")
        features[name], found = clip_features(
            segments, decoder, encode, store, settings, f"{name} clips"
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
            f"the preset has no {modality} input, only "
            f"{', '.join(model.backbone.modalities)}"
        )
    for read in splits.values():
        check_classes(read)
        if read.multi_label:
            raise EvaluationError(
                f"clips of {read.name} have several classes, for which there is no "
                "probe: fine-tune a classifier and use --task classification"
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
