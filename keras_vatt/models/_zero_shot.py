"""Classes that a model never saw, by their names alone."""

import numpy as np
import scipy.special

from keras_vatt.models._classifier_base import best_classes
from keras_vatt.models._tokenizer import PADDING, UNKNOWN


def zero_shot_classify(
    model,
    label_texts,
    video=None,
    audio=None,
    templates=("{}",),
    top_k=None,
    temperature=0.07,
    num_windows=1,
    num_crops=1,
    batch_size=32,
    short_clips="repeat",
    on_error="skip",
):
    """Classify clips by what their embeddings have in common with texts of labels.

    Video and texts are compared in their common space, `"to_text"` and `"to_video"`:
    the cosine similarities, divided by the temperature of pre-training, go through a
    softmax over the labels. A label's embedding is the mean of those of its templates,
    a clip's is the mean of those of its windows, as in VATT's zero-shot retrieval
    (arXiv 2104.11178).

    Sound and texts have a common space only in models with a
    `keras_vatt.layers.JointBridgeHead`. VATT's factorized head compares sound with
    video in one space and video with text in another.

    Args:
        model: a `keras_vatt.VATT` with text and a vocabulary.
        label_texts: list of strings, what a clip of each label could be called.
        video: raw clips or the array of a batch; see `VATT.encode`. Defaults to `None`.
        audio: the same of sounds. Defaults to `None`; one of the two is given.
        templates: sequence of strings with `{}` where the label goes. Defaults to
            `("{}",)`, the label alone.
        top_k: int. How many labels of each clip to name. Defaults to `None`, an array
            of all.
        temperature: float. Defaults to `0.07`, that of VATT's loss.
        num_windows: int. Windows of each raw clip. Defaults to `1`, its middle.
        num_crops: int. Crops of each window of video. Defaults to `1`, the centre.
        batch_size: int. How many windows run at a time. Defaults to `32`.
        short_clips: string. Rule for raw clips shorter than the model's: `"repeat"`,
            `"pad"` or `"error"`; see `VATTVideoConverter.call`. Defaults to `"repeat"`.
        on_error: string. `"skip"` logs a file that can't be used, adds it to
            `model.clip_report` and continues; `"raise"` raises its error. Defaults to
            `"skip"`.

    Returns:
        float64 NumPy array of probabilities, `(clips, labels)`; or with `top_k` a list
        with a list for each clip, of tuples of a label and its probability, the most
        probable first. For clips that were skipped, NaN or an empty list.

    Raises:
        ValueError: if not one of video and audio is given, the model can't compare it
            with text, there are no labels, a label has no word that the model knows, a
            template has no `{}`, or a number is not positive.
        keras_vatt.data.MediaError: if no clip can be used, or with `on_error="raise"`
            if one can't.

    Example:
    ```python
    model = keras_vatt.VATT.from_preset("vatt_tiny_agnostic")
    frames = np.zeros((50, 120, 160, 3), "uint8"), 10.0
    labels = ["a red star", "a blue circle"]
    keras_vatt.zero_shot_classify(model, labels, video=[frames]).shape  # (1, 2)
    ```
    """
    if (video is None) == (audio is None):
        raise ValueError("Give `zero_shot_classify` one of video and audio.")
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
    """Computes the embeddings of labels that clips are compared with.

    Args:
        model: a `keras_vatt.VATT` with text and a vocabulary.
        kind: string, what is compared: `"video"`, `"audio"` or `"image"`.
        label_texts: list of strings.
        templates: sequence of strings with `{}` where the label goes.
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
    """Unit vectors of the labels, `(labels, dim)`."""
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
            "This model has no space in which sound and text can be compared: its "
            "factorized bridge head compares sound with video in one space and video "
            "with text in another. Zero-shot classification of sound needs a model "
            "trained with `bridge_head=keras_vatt.layers.JointBridgeHead()`."
        )
    if isinstance(label_texts, str) or len(label_texts) == 0:
        raise ValueError("`label_texts` is a list of strings, one for each label.")
    if (
        isinstance(templates, str)
        or len(templates) == 0
        or not all("{}" in template for template in templates)
    ):
        raise ValueError(
            "`templates` is a sequence of strings with {} where the label goes. "
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
            "This model has no vocabulary: set the tokenizer's by "
            "`model.preprocessor.tokenizer = keras_vatt.VATTTokenizer(file)`."
        )
    without = [tokenizer.token_to_id(token) for token in (PADDING, UNKNOWN)]
    unknown = [text for text in label_texts if np.isin(tokenizer(text), without).all()]
    if unknown:
        raise ValueError(
            "The model knows no word of these labels, and can't tell them apart: "
            f"{unknown}. Its words: `model.preprocessor.tokenizer.get_vocabulary()`."
        )
