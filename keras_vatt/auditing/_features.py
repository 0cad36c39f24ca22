"""The features of all clips of an audit: the one pass of the encoders."""

from __future__ import annotations

import dataclasses
import pathlib

import numpy as np

from keras_vatt.auditing._corpus import AuditedCorpus
from keras_vatt.auditing._errors import AuditError
from keras_vatt.auditing._settings import AuditSettings
from keras_vatt.data._manifest import Segment
from keras_vatt.data._report import Finding, Problem, first_reasons
from keras_vatt.data.decoding._media_segment import MediaSegment
from keras_vatt.inference._clip_decoder import ClipDecoder
from keras_vatt.inference._clip_features import clip_features
from keras_vatt.inference._encoder import VATTEncoder
from keras_vatt.inference._errors import FeatureStoreError
from keras_vatt.inference._feature_store import FeatureStore
from keras_vatt.models._vatt import VATT

POOLED = "features_pooled"


@dataclasses.dataclass(frozen=True)
class ClipFeatures:
    """The features of the clips of a corpus whose video can be decoded.

    Args:
        numbers: list of ints, the indices of the clips in the corpus.
        segments: list of `Segment`.
        outputs: dict from modality to a dict from the names of the encoder's outputs to
            float32 arrays of shape `(clips, dim)`: `"features_pooled"` and the
            embeddings. Rows of clips without the modality are zero.
        present: dict from modality to a bool array of shape `(clips,)`.
    """

    numbers: list[int]
    segments: list[Segment]
    outputs: dict[str, dict[str, np.ndarray]]
    present: dict[str, np.ndarray]

    def pair(self, modality: str) -> np.ndarray:
        """Returns the indices of the clips with video and another modality."""
        return np.flatnonzero(self.present.get(modality, np.zeros(len(self.segments))))


def encode_corpus(
    model: VATT, corpus: AuditedCorpus, settings: AuditSettings, folder: pathlib.Path
) -> tuple[ClipFeatures, list[Finding]]:
    """Computes the features of all clips, which are kept in a folder.

    Args:
        model: `keras_vatt.VATT`.
        corpus: `AuditedCorpus`.
        settings: `AuditSettings`.
        folder: `pathlib.Path` for the features of video and audio. An interrupted pass
            resumes from it.

    Returns:
        Tuple of `ClipFeatures` and of a list of `Finding`.

    Raises:
        AuditError: if no video can be decoded, if the features in the folder are
            damaged, or if an output is not finite.
    """
    try:
        return _encode(model, corpus, settings, folder)
    except FeatureStoreError as error:
        raise AuditError(str(error)) from error


def _encode(model, corpus, settings, folder):
    encode = VATTEncoder(model.backbone, model.bridge_head)

    def features_of(modality, clips):
        decoder = ClipDecoder(
            modality,
            model.preprocessor.clip_spec,
            num_windows=1,
            short_clips=settings.short_clips,
            refuse_silence=True,
        )
        store = FeatureStore(folder / modality)
        return clip_features(clips, decoder, encode, store, settings, modality)

    clips = {n: _media(corpus.segments[n]) for n in corpus.numbers}
    video, findings = features_of("video", clips.values())
    if not video:
        raise AuditError(f"no video can be decoded: {first_reasons(findings)}")
    numbers = [n for n, clip in clips.items() if clip in video]
    segments = [corpus.segments[n] for n in numbers]
    outputs, present = {}, {}
    outputs["video"], _ = _rows(video, [clips[n] for n in numbers])
    if "audio" in model.backbone.modalities:
        audio, silent = features_of("audio", list(video))
        findings = findings + silent
        outputs["audio"], present["audio"] = _rows(audio, [clips[n] for n in numbers])
    if "text" in model.backbone.modalities:
        texts, unread = _encode_captions(model, segments, settings)
        findings = findings + unread
        outputs["text"], present["text"] = _rows(texts, [s.caption for s in segments])
    _check_finite(outputs)
    return ClipFeatures(numbers, segments, outputs, present), findings


def _media(segment):
    """Returns the part of a file without its caption: it is encoded once."""
    return MediaSegment(segment.path, segment.start, segment.end)


def _encode_captions(model, segments, settings):
    """Returns the outputs of each caption that has words, and findings."""
    captions = list(dict.fromkeys(s.caption for s in segments if s.caption))
    findings = [
        Finding(Problem.NO_CAPTION, str(s), "has no caption")
        for s in segments
        if not s.caption
    ]
    if not captions:
        return {}, findings
    try:
        ids = model.preprocessor({"text": captions})["text"]
    except ValueError as error:  # The preset has no vocabulary.
        raise AuditError(str(error)) from error
    has_words = ids.any(axis=-1)
    known = {c for c, is_known in zip(captions, has_words, strict=True) if is_known}
    reason = "no word of the caption is in the vocabulary"
    findings += [
        Finding(Problem.NO_CAPTION, str(s), f"{reason}: {s.caption!r}")
        for s in segments
        if s.caption and s.caption not in known
    ]
    if not known:
        return {}, findings
    batch_size = max(settings.batch_size, 32)
    outputs = model.encode(text=ids[has_words], batch_size=batch_size)["text"]
    in_order = [caption for caption in captions if caption in known]
    rows = {
        caption: {name: values[n : n + 1] for name, values in outputs.items()}
        for n, caption in enumerate(in_order)
    }
    return rows, findings


def _rows(found, keys):
    """Stacks the outputs of some keys, with rows of zeros for those without outputs."""
    is_present = np.array([key in found for key in keys])
    if not found:
        return {}, is_present
    first = next(iter(found.values()))
    arrays = {
        name: np.zeros((len(keys), values.shape[-1]), np.float32)
        for name, values in first.items()
    }
    for row in np.flatnonzero(is_present):
        for name, values in found[keys[row]].items():
            arrays[name][row] = values[0]
    return arrays, is_present


def _check_finite(outputs):
    for modality, arrays in outputs.items():
        for name, values in arrays.items():
            if not np.isfinite(values).all():
                raise AuditError(
                    f"the model's {name} of {modality} is not finite for some clips: "
                    "its weights may be damaged, or its dtype too narrow"
                )
