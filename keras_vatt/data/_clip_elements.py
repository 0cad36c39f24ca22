"""Elements of a dataset from decoded clips: arrays, tokens, and masks."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from keras_vatt.data._clip import Clip
from keras_vatt.data._clip_spec import ClipSpec
from keras_vatt.data._manifest import Segment
from keras_vatt.data._report import Finding, Problem

Tokenize: TypeAlias = Callable[[list[str]], np.ndarray]
Element: TypeAlias = dict[str, np.ndarray]


def make_element(
    clip: Clip, spec: ClipSpec, tokenize: Tokenize, candidates: int
) -> Element:
    """Converts a decoded clip to the dict of arrays that a model takes.

    Args:
        clip: `Clip`.
        spec: `ClipSpec` of the clip.
        tokenize: Callable from a list of n strings to an integer array of shape
            `(n, words)`, in which 0 is padding.
        candidates: int. Number of captions in `text`.

    Returns:
        Dict of NumPy arrays, see `ClipSource`.

    Raises:
        ValueError: If `tokenize` returns an array of another shape.
    """
    waveform = clip.waveform
    has_audio = waveform is not None
    if not has_audio:
        waveform = np.zeros(spec.audio_samples, np.float32)
    text = _tokens(clip.captions or [""] * candidates, tokenize)
    has_text = bool(clip.captions) and bool(text[0].any())
    return {
        "video": clip.frames,
        "audio": waveform[:, np.newaxis],
        "text": text if has_text else np.zeros_like(text),
        "audio_mask": np.asarray(has_audio, np.float32),
        "text_mask": np.asarray(has_text, np.float32),
    }


def find_wordless_captions(
    segments: list[Segment], tokenize: Tokenize
) -> list[Finding]:
    """Finds captions in which `tokenize` finds no words: their text is masked.

    Args:
        segments: List of `Segment`.
        tokenize: Callable from a list of n strings to an integer array of shape
            `(n, words)`, in which 0 is padding.

    Returns:
        List of `Finding`.

    Raises:
        ValueError: If `tokenize` returns an array of another shape.
    """
    captioned = [segment for segment in segments if segment.caption]
    if not captioned:
        return []
    tokens = _tokens([segment.caption for segment in captioned], tokenize)
    reason = "has a caption without words for the tokenizer"
    return [
        Finding(Problem.NO_CAPTION, str(segment), reason)
        for segment, words in zip(captioned, tokens, strict=True)
        if not words.any()
    ]


def _tokens(texts, tokenize):
    tokens = np.asarray(tokenize(texts), np.int32)
    if tokens.ndim != 2 or len(tokens) != len(texts):
        raise ValueError(
            "`tokenize` must return an array of shape (texts, words). Received: shape "
            f"{tokens.shape} for {len(texts)} texts"
        )
    return tokens
