"""Features of the clips of a dataset, by the batch-embedding pipeline."""

import numpy as np

from keras_vatt.inference._pipeline import embed


def clip_features(segments, decoder, encode, store, settings, description):
    """Computes the outputs of a model for clips that are decoded on the way.

    Args:
        segments: iterable of `keras_vatt.data.MediaSegment`. Duplicates are encoded
            once.
        decoder: `ClipDecoder`.
        encode: encoder, see `embed`.
        store: `FeatureStore`. Clips that it has are not computed again.
        settings: settings with `batch_size`, `num_workers` and `progress`, such as
            `EvaluationSettings`.
        description: string. Text before the progress bar.

    Returns:
        Tuple of a dict from segment to a dict of arrays of shape `(windows, dim)`, and
        a list of `Finding`: the clips that can't be used, which are not in the dict,
        and those that were repeated or padded.
    """
    segments = list(dict.fromkeys(segments))
    findings = embed(
        segments,
        decoder,
        encode,
        store,
        batch_size=max(1, settings.batch_size // decoder.rows),
        num_workers=settings.num_workers,
        progress=settings.progress,
        description=description,
    )
    found = [segment for segment in segments if segment in store]
    findings += [finding for clip in found for finding in store.findings_of(clip)]
    return {segment: store[segment] for segment in found}, findings


def stacked(features, segments, name):
    """Stacks an output of several clips to the shape `(clips, windows, dim)`."""
    return np.stack([features[segment][name] for segment in segments])
