"""The spaces in which modalities are compared, and vectors of several modalities."""

import numpy as np

_VIDEO_AUDIO = {"video": "to_audio", "audio": "to_video"}
_VIDEO_TEXT = {"video": "to_text", "text": "to_video"}


def common_spaces(model):
    """Returns the spaces into which a model's bridge head embeds several modalities.

    A `keras_vatt.layers.FactorizedBridgeHead` has two: audio is compared with video in
    the one, text with video in the other, and audio with text in none. A
    `keras_vatt.layers.JointBridgeHead` has a single one of all modalities.

    Args:
        model: `keras_vatt.VATT`.

    Returns:
        Dict from a space's name to a dict from the model's modalities in it to the
        output of `model.encode` that lies in it.
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
    """Computes one vector of each example out of those of its modalities.

    It is the mean of their unit vectors, normalized again. A row of zeros, for a
    modality that an example lacks, doesn't count. Where the widths differ, zeros are
    appended to the narrower ones.

    Args:
        parts: list of arrays of shape `(examples, dim)`, one per modality.

    Returns:
        float64 NumPy array of shape `(examples, dim)`: rows of length 1, or of zeros
        where every part has zeros.
    """
    width = max(part.shape[1] for part in parts)
    total = sum(_padded(unit_vectors(part), width) for part in parts)
    return unit_vectors(total)


def unit_vectors(vectors):
    """Computes rows of length 1; a row of zeros stays as it is.

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
