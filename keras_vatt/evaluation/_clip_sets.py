"""Reads the clips of an evaluation: of a dataset with labels, or of a corpus."""

import numpy as np

from keras_vatt.data._manifest import read_corpus
from keras_vatt.data.datasets import (
    LabeledClip,
    LabeledDataset,
    labeled_datasets,
    read_labeled_dataset,
)
from keras_vatt.data.decoding._media_segment import MediaSegment
from keras_vatt.evaluation._errors import EvaluationError


def read_splits(settings):
    """Reads the splits of an evaluation.

    Args:
        settings: `EvaluationSettings`.

    Returns:
        Dict from split, an int, to `LabeledDataset`.

    Raises:
        EvaluationError: if the data or the dataset can't be read.
    """
    if settings.dataset is None:
        return {1: _read_corpus(settings)}
    if settings.dataset not in labeled_datasets():
        raise EvaluationError(
            f"there is no dataset {settings.dataset!r}. The datasets are: "
            f"{', '.join(labeled_datasets())}"
        )
    splits = [settings.split]
    if settings.split == "all":
        splits = range(1, labeled_datasets()[settings.dataset] + 1)
    return {split: _read_dataset(settings, split) for split in splits}


def some_of(clips, limit):
    """Selects clips that are evenly spaced: lists are often sorted by class.

    Args:
        clips: list.
        limit: int. Number of clips. `None` stands for all.

    Returns:
        List.
    """
    if limit is None or limit >= len(clips):
        return clips
    chosen = np.linspace(0, len(clips) - 1, limit).round().astype(int)
    return [clips[index] for index in chosen]


def _read_dataset(settings, split):
    try:
        return read_labeled_dataset(
            settings.dataset, settings.data, split, settings.modality
        )
    except (ValueError, OSError) as error:
        raise EvaluationError(str(error)) from error


def _read_corpus(settings):
    if settings.task != "retrieval":
        raise EvaluationError(
            f"--task {settings.task} needs classes: give --dataset, such as 'folders' "
            "for train/<class>/* and test/<class>/*"
        )
    try:
        segments, findings = read_corpus(
            settings.data, settings.allow_outside, settings.caption_language
        )
    except (ValueError, OSError) as error:
        raise EvaluationError(str(error)) from error
    test = [segment for segment in segments if segment.split == "test"] or segments
    if not test:
        reason = findings[0].reason if findings else "it has no video"
        raise EvaluationError(f"there is no clip in {settings.data!r}: {reason}")
    clips = [
        LabeledClip(
            MediaSegment(segment.path, segment.start, segment.end),
            caption=segment.caption,
        )
        for segment in test
    ]
    return LabeledDataset("corpus", (), False, [], clips, tuple(findings))
