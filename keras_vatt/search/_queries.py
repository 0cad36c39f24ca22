"""Vectors of queries: text, audio, video, or a clip of both."""

from __future__ import annotations

import contextlib
import typing

import numpy as np

from keras_vatt.data.decoding._file_errors import any_error_of
from keras_vatt.data.decoding._raw_clips import raw_frames, raw_waveform
from keras_vatt.data.decoding._waveform import is_silent
from keras_vatt.inference._common_spaces import common_spaces, fuse
from keras_vatt.search._errors import MediaIndexError

if typing.TYPE_CHECKING:
    from keras_vatt.models import VATT

# Columns of embeddings in an index, and the modalities of a window that has one. `both`
# is the mean of the unit vectors of video and audio, where they lie in one space.
EMBEDDINGS = {
    "video_to_text": ("video",),
    "video_to_audio": ("video",),
    "audio_to_video": ("audio",),
    "both": ("video", "audio"),
}

# The default modality of the windows, by the modalities of the query.
_DEFAULTS = {
    ("text",): "video",
    ("audio",): "video",
    ("video",): "audio",
    ("audio", "video"): "both",
}
_COMPARED = {"video": ("video",), "audio": ("audio",), "both": ("video", "audio")}


def comparison(model, kinds, modality=None):
    """Returns the embeddings by which a query and windows are compared.

    Args:
        model: `keras_vatt.VATT`.
        kinds: modalities of the query: one, or `"audio"` and `"video"`.
        modality: `"video"`, `"audio"` or `"both"`, see `MediaIndex.search`. Defaults
            to `None`.

    Returns:
        Tuple of a dict from each modality of the query to the output of `model.encode`
        that is used, and of a tuple of the names of the index's embeddings.

    Raises:
        MediaIndexError: if the model has no space in which they can be compared.
    """
    modality = modality or _DEFAULTS[tuple(sorted(kinds))]
    if modality not in _COMPARED:
        raise MediaIndexError(
            f"`modality` must be 'video' or 'audio', or 'both'. Received: {modality!r}"
        )
    wanted = {*kinds, *_COMPARED[modality]}
    missing = wanted - set(model.backbone.modalities)
    if missing:
        raise MediaIndexError(
            f"`model` has no input of {' and '.join(sorted(missing))}."
        )
    for space in common_spaces(model).values():
        if wanted <= set(space):
            names = tuple(f"{name}_{space[name]}" for name in _COMPARED[modality])
            return {kind: space[kind] for kind in kinds}, names
    raise MediaIndexError(
        "`model` has no common space for text and audio. Search for video by text, or "
        "use a model with a `keras_vatt.layers.JointBridgeHead`."
    )


def column_of(names: tuple[str, ...]) -> str:
    """Returns the column of an index with the embeddings that are compared.

    Args:
        names: tuple of the name of an embedding, or of one of video and one of audio.

    Raises:
        MediaIndexError: if there are no such embeddings.
    """
    known = [EMBEDDINGS.get(name) for name in names]
    if len(known) == 1 and known[0] is not None:
        return names[0]
    if sorted(known, key=str) == [("audio",), ("video",)]:
        return "both"
    raise MediaIndexError(
        "`matrix` must be the name of an embedding, or a tuple of one of video and one "
        f"of audio. Received: {names!r}"
    )


def encode_query(model, queries, outputs, short_clips):
    """Computes the vector of a query.

    Args:
        model: `keras_vatt.VATT` with a preprocessor.
        queries: dict from modality to a string, or a raw clip; of two the vectors are
            fused, see `fuse`.
        outputs: dict from modality to the output of `model.encode`.
        short_clips: string, the rule for clips shorter than the model's.

    Returns:
        float64 NumPy array `(dim,)`.

    Raises:
        MediaIndexError: if no word of the text is known to the model, or the audio is
            silent.
        keras_vatt.data.MediaError: if a file can't be used.
    """
    clips = {
        kind: _clip(model, kind, query, short_clips) for kind, query in queries.items()
    }
    encoded = model.encode(**clips)
    return fuse([encoded[kind][outputs[kind]] for kind in queries])[0]


def unknown_words(model: VATT, text: str) -> list[str]:
    """Returns the words of a query that a model's vocabulary doesn't have.

    Args:
        model: `keras_vatt.VATT` with a vocabulary.
        text: string.

    Returns:
        List of strings, as they are in the text.
    """
    tokenizer = getattr(model.preprocessor, "tokenizer", None)
    if tokenizer is None or tokenizer.vocabulary is None:
        return []
    unknown = tokenizer.token_to_id(tokenizer.unknown)
    # A word may have several pieces, of which some are known.
    return [word for word in text.split() if set(tokenizer(word)) - {0} == {unknown}]


def _clip(model, kind, query, short_clips):
    if kind == "text":
        return [_known_part(model, query)]
    spec = model.preprocessor.clip_spec
    with _errors_of(query):
        if kind == "video":
            return raw_frames(query, spec, short_clips=short_clips)
        waveform = raw_waveform(query, spec, short_clips=short_clips)
    if is_silent(waveform):
        raise MediaIndexError(
            "The audio of the query is silent in its middle, from which the clip is "
            "taken. An index has no silent windows. Choose a clip that is not silent."
        )
    return waveform[..., np.newaxis]


def _errors_of(query):
    """Raises errors of a file as a `MediaError`; those of an array stay as they are."""
    if isinstance(query, tuple | dict):
        return contextlib.nullcontext()
    if hasattr(query, "seek"):
        query.seek(0)  # Its audio may be read first, then its video.
    return any_error_of(query)


def _known_part(model, text):
    """Returns the query without the words that the vocabulary lacks."""
    if not isinstance(text, str) or not text.strip():
        raise MediaIndexError("The text to search for is empty.")
    unknown = set(unknown_words(model, text))
    known = " ".join(word for word in text.split() if word not in unknown)
    if not model.preprocessor({"text": [known]})["text"].any():
        raise MediaIndexError(
            f"The model's vocabulary has none of the words of {text!r}."
        )
    return known
