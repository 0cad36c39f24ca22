"""Queries become vectors: words, audio, video, or a clip of both."""

import contextlib

import numpy as np

from keras_vatt.data.decoding._file_errors import any_error_of
from keras_vatt.data.decoding._raw_clips import raw_frames, raw_waveform
from keras_vatt.data.decoding._waveform import is_silent
from keras_vatt.inference._common_spaces import common_spaces, fuse
from keras_vatt.search._errors import MediaIndexError

# What is looked for, by what is asked with.
_DEFAULTS = {
    ("text",): "video",
    ("audio",): "video",
    ("video",): "audio",
    ("audio", "video"): "both",
}
_SOUGHT = {"video": ("video",), "audio": ("audio",), "both": ("video", "audio")}


def comparison(model, kinds, modality=None):
    """Finds out where a query and the windows of an index are compared.

    Args:
        model: `keras_vatt.VATT`.
        kinds: modalities of the query: one, or `"audio"` and `"video"`.
        modality: `"video"`, `"audio"` or `"both"`, what is looked for. Defaults to
            `None`, see `MediaIndex.search`.

    Returns:
        Tuple of a dict from each modality of the query to the output of `model.encode`
        that is taken, and of a tuple of the names of the index's embeddings.

    Raises:
        MediaIndexError: if the model has no space in which they can be compared.
    """
    modality = modality or _DEFAULTS[tuple(sorted(kinds))]
    if modality not in _SOUGHT:
        raise MediaIndexError(
            f"`modality` is 'video' or 'audio', or 'both'. Received: {modality!r}"
        )
    wanted = {*kinds, *_SOUGHT[modality]}
    missing = wanted - set(model.backbone.modalities)
    if missing:
        raise MediaIndexError(
            f"This model knows no {' and no '.join(sorted(missing))}."
        )
    for space in common_spaces(model).values():
        if wanted <= set(space):
            names = tuple(f"{name}_{space[name]}" for name in _SOUGHT[modality])
            return {kind: space[kind] for kind in kinds}, names
    raise MediaIndexError(
        "This model has no common space for text and audio: look for videos by text, "
        "or take a model with a `keras_vatt.layers.JointBridgeHead`."
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


def unknown_words(model, text):
    """Words of a query that a model's vocabulary doesn't have.

    Args:
        model: `keras_vatt.VATT` with a vocabulary.
        text: string.

    Returns:
        List of strings, as they stand in the text.
    """
    tokenizer = getattr(model.preprocessor, "tokenizer", None)
    if tokenizer is None or tokenizer.vocabulary is None:
        return []
    unknown = tokenizer.get_vocabulary().index("<unk>")
    return [word for word in text.split() if tokenizer(word)[0] == unknown]


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
            "The audio of the query is silent in its middle, of which a clip is taken. "
            "All silence has one embedding, and an index has none of it: choose a clip "
            "with audio that can be heard."
        )
    return waveform[..., np.newaxis]


def _errors_of(query):
    """Errors of a file are the file's; those of an array are the caller's."""
    if isinstance(query, tuple | dict):
        return contextlib.nullcontext()
    if hasattr(query, "seek"):
        query.seek(0)  # It may be asked for its audio, then for its video.
    return any_error_of(query)


def _known_part(model, text):
    """The query without words out of the vocabulary, which would only blur it."""
    if not isinstance(text, str) or not text.strip():
        raise MediaIndexError("The text to search for is empty.")
    unknown = set(unknown_words(model, text))
    known = " ".join(word for word in text.split() if word not in unknown)
    if not model.preprocessor({"text": [known]})["text"].any():
        raise MediaIndexError(
            f"The model's vocabulary has none of the words of {text!r}."
        )
    return known
