"""The identity of a model: its weights and its clips."""

from __future__ import annotations

import typing

from keras_vatt.storage import weights_sha256

if typing.TYPE_CHECKING:
    from keras_vatt.models import VATT


def model_identity(model: VATT) -> dict:
    """Returns what identifies the model that made an index.

    Args:
        model: `keras_vatt.VATT` with a preprocessor.

    Returns:
        Dict of JSON types: `"weights_sha256"`, and `"clip"`, the config of the clips.
    """
    return {
        "weights_sha256": weights_sha256(model),
        "clip": model.preprocessor.clip_spec.get_config(),
    }
