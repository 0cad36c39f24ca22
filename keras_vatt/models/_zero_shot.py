"""Zero-shot classification, by the embeddings of label texts."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.special

from keras_vatt.models._best_classes import best_classes
from keras_vatt.models._vatt import VATT


def zero_shot_classify(
    model: VATT,
    label_texts: Sequence[str],
    video: Any = None,
    audio: Any = None,
    templates: Sequence[str] = ("{}",),
    top_k: int | None = None,
    temperature: float = 0.07,
    num_windows: int = 1,
    num_crops: int = 1,
    batch_size: int = 32,
    short_clips: str = "repeat",
    on_error: str = "skip",
) -> np.ndarray | list[list[tuple[str, float]]]:
    """Classifies clips by the similarity of their embeddings to those of label texts.

    Clips and texts are compared in a common space: the embeddings `"to_text"` of video
    and `"to_video"` of text. The probabilities are a softmax over the labels of the
    cosine similarities, divided by the temperature of pre-training. The embedding of a
    label is the mean over its templates, that of a clip the mean over its windows, as
    in VATT's zero-shot retrieval (arXiv 2104.11178).

    Audio and text have a common space only in models with a
    `keras_vatt.layers.JointBridgeHead`. VATT's factorized head has one space for audio
    and video, and another one for video and text.

    Args:
        model: a `keras_vatt.VATT` with text and a vocabulary.
        label_texts: list of strings, a text for each label.
        video: raw clips or the array of a batch; see `VATT.encode`. Defaults to `None`.
            Exactly one of `video` and `audio` must be passed.
        audio: raw clips or the array of a batch; see `VATT.encode`. Defaults to `None`.
        templates: sequence of strings, in which `{}` is replaced by the label text.
            Defaults to `("{}",)`, the label text alone.
        top_k: int. Number of labels to return per clip. Defaults to `None`, an array of
            all probabilities.
        temperature: float. Defaults to `0.07`, that of VATT's loss.
        num_windows: int. Number of windows per raw clip. Defaults to `1`, the middle.
        num_crops: int. Number of crops per window of video. Defaults to `1`, the
            center.
        batch_size: int. Number of windows per batch. Defaults to `32`.
        short_clips: string. Rule for raw clips shorter than the model's: `"repeat"`,
            `"pad"` or `"error"`; see `VATTVideoConverter.call`. Defaults to `"repeat"`.
        on_error: string. `"skip"` logs a file that can't be used, adds it to
            `model.clip_report` and continues; `"raise"` raises its error. Defaults to
            `"skip"`.

    Returns:
        float64 NumPy array of probabilities of shape `(clips, labels)`; or with `top_k`
        a list with a list per clip of tuples `(label, probability)`, the most probable
        first. Clips that were skipped have NaN or an empty list.

    Raises:
        ValueError: if not exactly one of `video` and `audio` is passed, the model can't
            compare it with text, there are no labels, a label has no word of the
            vocabulary, a template has no `{}`, or a number is not positive.
        keras_vatt.data.MediaError: if no clip can be used, or with `on_error="raise"`
            if any clip can't be used.

    Example:
    ```python
    model = keras_vatt.VATT.from_preset("vatt_tiny_agnostic")
    frames = np.zeros((50, 120, 160, 3), "uint8"), 10.0
    labels = ["a red star", "a blue circle"]
    keras_vatt.zero_shot_classify(model, labels, video=[frames]).shape  # (1, 2)
    ```
    """
    if (video is None) == (audio is None):
        raise ValueError(
            "Pass exactly one of `video` and `audio` to `zero_shot_classify`."
        )
    kind, clips = ("video", video) if audio is None else ("audio", audio)
    _check_arguments(model, kind, label_texts, templates, top_k, temperature)
    labels = _label_embeddings(model, label_texts, templates, batch_size)
    embeddings = model.extract_features(
        kind,
        clips,
        output="to_text" if kind == "video" else "to_video",
        num_windows=num_windows,
        num_crops=num_crops,
        batch_size=batch_size,
        short_clips=short_clips,
        on_error=on_error,
    )
    similarities = _normalized(embeddings.astype(np.float64).mean(1)) @ labels.T
    probabilities = scipy.special.softmax(similarities / temperature, axis=1)
    if top_k is None:
        return probabilities
    return best_classes(probabilities, label_texts, top_k)


def label_embeddings(model, kind, label_texts, templates, batch_size=32):
    """Computes the embeddings of labels.

    Args:
        model: a `keras_vatt.VATT` with text and a vocabulary.
        kind: string, the kind of the clips: `"video"`, `"audio"` or `"image"`.
        label_texts: list of strings.
        templates: sequence of strings, in which `{}` is replaced by the label text.
        batch_size: int. Defaults to `32`.

    Returns:
        float64 NumPy array of unit vectors, `(labels, dim)`.

    Raises:
        ValueError: see `zero_shot_classify`.
    """
    modality = "video" if kind == "image" else kind
    _check_arguments(model, modality, label_texts, templates, None, 1.0)
    return _label_embeddings(model, label_texts, templates, batch_size)


def _label_embeddings(model, label_texts, templates, batch_size):
    """Returns unit vectors of shape `(labels, dim)`."""
    prompts = [
        template.replace("{}", label) for label in label_texts for template in templates
    ]
    embeddings = model.extract_features(
        "text", prompts, output="to_video", batch_size=batch_size
    )
    embeddings = _normalized(embeddings[:, 0].astype(np.float64))
    by_label = embeddings.reshape(len(label_texts), len(templates), -1)
    return _normalized(by_label.mean(axis=1))


def _normalized(vectors):
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def _check_arguments(model, kind, label_texts, templates, top_k, temperature):
    modalities = model.backbone.modalities
    if not {kind, "text"} <= set(modalities) or not hasattr(model, "bridge_head"):
        raise ValueError(
            f"Zero-shot classification of {kind} needs a keras_vatt.VATT with {kind} "
            f"and text. Received: {type(model).__name__} with {modalities}"
        )
    if kind == "audio" and not model.bridge_head.embeds_audio_and_text_together:
        raise ValueError(
            "This model has no common space of audio and text: its factorized bridge "
            "head has one space for audio and video, and another one for video and "
            "text. Zero-shot classification of audio needs a model trained with "
            "`bridge_head=keras_vatt.layers.JointBridgeHead()`."
        )
    if isinstance(label_texts, str) or len(label_texts) == 0:
        raise ValueError("`label_texts` must be a list of strings, one per label.")
    if (
        isinstance(templates, str)
        or len(templates) == 0
        or not all("{}" in template for template in templates)
    ):
        raise ValueError(
            "`templates` must be a sequence of strings that contain {}. "
            f"Received: templates={templates!r}"
        )
    if not 0 < temperature < float("inf") or (top_k is not None and top_k < 1):
        raise ValueError(
            "`temperature` must be positive and `top_k` at least 1. "
            f"Received: temperature={temperature}, top_k={top_k}"
        )
    _check_words(model, label_texts)


def _check_words(model, label_texts):
    tokenizer = model.preprocessor and model.preprocessor.tokenizer
    if tokenizer is None or tokenizer.vocabulary is None:
        raise ValueError(
            "This model has no vocabulary: set "
            "`model.preprocessor.tokenizer = keras_vatt.VATTTokenizer(file)`."
        )
    empty = (tokenizer.padding, tokenizer.unknown)
    without = [tokenizer.token_to_id(token) for token in empty]
    unknown = [text for text in label_texts if np.isin(tokenizer(text), without).all()]
    if unknown:
        raise ValueError(
            "These labels have no word of the model's vocabulary: "
            f"{unknown}. Use words of `model.preprocessor.tokenizer.get_vocabulary()`."
        )
