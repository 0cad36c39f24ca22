"""Spaces in which modalities are compared, and vectors of several modalities."""

import numpy as np

_VIDEO_AUDIO = {"video": "to_audio", "audio": "to_video"}
_VIDEO_TEXT = {"video": "to_text", "text": "to_video"}


def common_spaces(model):
    """Returns the spaces into which a model's bridge head embeds several modalities.

    A `keras_vatt.layers.FactorizedBridgeHead` has two spaces, one of video and audio
    and one of video and text; it can't compare audio with text. A
    `keras_vatt.layers.JointBridgeHead` has one space of all modalities.

    Args:
        model: `keras_vatt.VATT`.

    Returns:
        Dict from the name of a space to a dict from each modality of the model in that
        space to the name of its output of `model.encode`.
    """
    if model.bridge_head.embeds_audio_and_text_together:
        spaces = {"joint": _VIDEO_AUDIO | _VIDEO_TEXT}
    else:
        spaces = {"video_audio": _VIDEO_AUDIO, "video_text": _VIDEO_TEXT}
    return {
        name: {m: space[m] for m in space if m in model.backbone.modalities}
        for name, space in spaces.items()
    }


def fuse(parts):
    """Computes one vector per example from the vectors of its modalities.

    It is the normalized mean of their unit vectors. A row of zeros stands for a
    modality that an example lacks, and has no influence. Narrower vectors are padded
    with zeros.

    Args:
        parts: list of arrays of shape `(examples, dim)`, one per modality.

    Returns:
        float64 NumPy array of shape `(examples, dim)`. The rows have length 1, or are
        zero if all parts are.
    """
    width = max(part.shape[1] for part in parts)
    total = sum(_padded(unit_vectors(part), width) for part in parts)
    return unit_vectors(total)


def unit_vectors(vectors):
    """Scales rows to length 1; rows of zeros stay zero.

    Args:
        vectors: array of shape `(examples, dim)`.

    Returns:
        float64 NumPy array of the same shape.
    """
    vectors = np.asarray(vectors, np.float64)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1.0)


def _padded(vectors, width):
    return np.pad(vectors, [(0, 0), (0, width - vectors.shape[1])])
