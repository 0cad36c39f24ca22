"""Evaluation of zero-shot retrieval among the test clips of a dataset."""

import numpy as np

from keras_vatt.data._report import Finding, Problem
from keras_vatt.evaluation._clip_sets import some_of
from keras_vatt.evaluation._errors import EvaluationError
from keras_vatt.evaluation._report import EvaluationResult
from keras_vatt.inference._clip_decoder import ClipDecoder
from keras_vatt.inference._clip_features import clip_features, stacked
from keras_vatt.inference._encoder import VATTEncoder
from keras_vatt.metrics._intervals import retrieval_intervals
from keras_vatt.metrics._ranking import retrieval_ranks


def evaluate_retrieval(model, splits, settings, open_store):
    """Computes retrieval metrics between video and text, and video and audio.

    Candidates are all test videos that can be decoded. Queries are all captions, and
    the audio of each video that has any. Both averages over windows are reported.

    Args:
        model: `keras_vatt.VATT`.
        splits: dict from split to `LabeledDataset`; only the first one is evaluated.
        settings: `EvaluationSettings`.
        open_store: function from a name to a `FeatureStore`.

    Returns:
        Tuple of a dict from task to `EvaluationResult`, and a list of `Finding`.

    Raises:
        EvaluationError: if there are no queries.
    """
    clips = next(iter(splits.values())).test
    segments = some_of(list(dict.fromkeys(c.segment for c in clips)), settings.limit)
    video, findings = _embed(model, "video", segments, settings, open_store)
    if not video:
        reason = f": {findings[0].reason}" if findings else ""
        raise EvaluationError(f"no video can be decoded{reason}")
    results = {}
    captions, unread = _captions(model, clips, video)
    if captions:
        results |= _text_results(model, captions, video, settings)
    audio = {}
    if "audio" in model.backbone.modalities:
        found = list(video)
        audio, silent = _embed(model, "audio", found, settings, open_store)
        findings = findings + silent
    if audio:
        results |= _audio_results(audio, video)
    if not results:
        raise EvaluationError(
            "there are no queries: no clip has a caption with words of the model's "
            "vocabulary, and none has audio"
        )
    return results, findings + unread


def _embed(model, modality, segments, settings, open_store):
    decoder = ClipDecoder(
        modality,
        model.preprocessor.clip_spec,
        settings.num_windows,
        settings.num_crops,
        settings.short_clips,
        refuse_silence=True,
    )
    encode = VATTEncoder(model.backbone, model.bridge_head)
    store = open_store(modality)
    return clip_features(segments, decoder, encode, store, settings, modality)


def _captions(model, clips, video):
    """Returns segments with the word ids of their captions, and findings."""
    given = [clip for clip in clips if clip.caption and clip.segment in video]
    if not given or "text" not in model.backbone.modalities:
        return [], []
    try:
        ids = model.preprocessor({"text": [clip.caption for clip in given]})["text"]
    except ValueError as error:  # The preset has no vocabulary.
        raise EvaluationError(str(error)) from error
    captions, unread = [], []
    for clip, row in zip(given, ids, strict=True):
        if row.any():
            captions.append((clip.segment, row))
        else:
            reason = f"no word of the caption is in the vocabulary: {clip.caption!r}"
            where = str(clip.segment.path)
            unread.append(Finding(Problem.NO_CAPTION, where, reason))
    return captions, unread


def _text_results(model, captions, video, settings):
    ids = np.stack([row for _, row in captions])
    outputs = model.encode(text=ids, batch_size=max(settings.batch_size, 32))
    texts = outputs["text"]["to_video"]
    numbers = {segment: number for number, segment in enumerate(video)}
    text_ids = np.array([numbers[segment] for segment, _ in captions])
    videos = stacked(video, video, "to_text")
    video_ids = np.arange(len(videos))
    queried = np.unique(text_ids)
    return _results("text->video", texts, videos, text_ids, video_ids) | _results(
        "video->text", videos[queried], texts, video_ids[queried], text_ids
    )


def _audio_results(audio, video):
    numbers = {segment: number for number, segment in enumerate(video)}
    audios = stacked(audio, audio, "to_video")
    audio_ids = np.array([numbers[segment] for segment in audio])
    videos = stacked(video, video, "to_audio")
    video_ids = np.arange(len(videos))
    return _results("audio->video", audios, videos, audio_ids, video_ids) | _results(
        "video->audio", videos[audio_ids], audios, audio_ids, audio_ids
    )


def _results(name, queries, candidates, query_ids, candidate_ids):
    several = any(x.ndim == 3 and x.shape[1] > 1 for x in (queries, candidates))
    results = {}
    for average in ("embedding", "similarity") if several else ("embedding",):
        ranks = retrieval_ranks(queries, candidates, average, query_ids, candidate_ids)
        title = f"{name}, mean {average} of windows" if several else name
        intervals = retrieval_intervals(ranks)
        results[title] = EvaluationResult(ranks.metrics(), intervals)
    return results
