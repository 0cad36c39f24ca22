"""All clips of a set through a model, in batches of one size."""

import collections
import concurrent.futures
import os

import numpy as np
import tqdm

from keras_vatt.data._report import Finding, Problem
from keras_vatt.data.decoding._media import MediaError


def embed_clips(segments, decoder, encoder, store, settings, description):
    """The outputs of a model for clips that are decoded on the way.

    Args:
        segments: list of `keras_vatt.data.MediaSegment`; one that comes again
            is embedded once.
        decoder: `ClipDecoder`.
        encoder: has `encode`, from an array of rows to a dict of arrays of rows.
        store: `FeatureStore`, whose clips are not computed again.
        settings: `EvaluationSettings`.
        description: string, for the progress bar.

    Returns:
        Tuple of a dict from segment to a dict of arrays of shape `(rows, dim)`, and a
        list of `Finding`: the clips that can't be used, which are not in the dict, and
        those that were repeated or padded.
    """
    segments = list(dict.fromkeys(segments))
    keys = {segment: _key_of(segment) for segment in segments}
    left = [segment for segment in segments if keys[segment] not in store]
    findings = []
    bar = tqdm.tqdm(
        total=len(segments),
        initial=len(segments) - len(left),
        desc=description,
        unit="clip",
        disable=not settings.progress,
    )
    clips_of_batch = max(1, settings.batch_size // decoder.rows)
    decoded = _decoded(left, decoder, settings.num_threads, findings, bar)
    try:
        for batch in _batches(decoded, clips_of_batch):
            rows = [clip.rows for _, clip in batch]
            outputs = _encode(encoder, rows, clips_of_batch)
            for index, (segment, clip) in enumerate(batch):
                features = {name: rows[index] for name, rows in outputs.items()}
                store.add(keys[segment], features, clip.short)
            bar.update(len(batch))
    finally:
        store.flush()
        bar.close()
    found = [segment for segment in segments if keys[segment] in store]
    findings += [
        Finding(Problem.SHORT, str(segment.path), store.short[keys[segment]])
        for segment in found
        if keys[segment] in store.short
    ]
    return {segment: store[keys[segment]] for segment in found}, findings


def stacked(features, segments, name):
    """The arrays of clips, one after the other: shape `(clips, rows, dim)`."""
    return np.stack([features[segment][name] for segment in segments])


def _key_of(segment):
    """What tells a clip, and another file in its place, from all others."""
    try:
        status = os.stat(segment.path)
        file = (status.st_size, status.st_mtime_ns)
    except OSError:
        file = None
    return f"{segment.path} {segment.start} {segment.end} {file}"


def _decoded(segments, decoder, threads, findings, bar):
    """Yields segments and their `DecodedClip`, decoded ahead by threads."""
    ahead = collections.deque()
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        for segment in segments:
            ahead.append((segment, pool.submit(decoder, segment)))
            if len(ahead) > 2 * threads:
                yield from _result(*ahead.popleft(), findings, bar)
        while ahead:
            yield from _result(*ahead.popleft(), findings, bar)


def _result(segment, future, findings, bar):
    try:
        yield segment, future.result()
    except MediaError as error:
        findings.append(Finding(error.problem, str(segment.path), error.reason))
        bar.update()


def _batches(items, size):
    batch = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _encode(encoder, clips, clips_of_batch):
    """Dict from name to array `(clips, rows, dim)`.

    A smaller batch is filled up by its last clip: it would be compiled anew.
    """
    full = clips + [clips[-1]] * (clips_of_batch - len(clips))
    outputs = encoder.encode(np.concatenate(full))
    return {
        name: rows.reshape(clips_of_batch, -1, rows.shape[-1])
        for name, rows in outputs.items()
    }
