"""By what two models are known to be the same: their weights and their clips."""

from keras_vatt.storage import weights_sha256


def model_identity(model):
    """What an index keeps of the model that made it.

    Args:
        model: `keras_vatt.VATT` with a preprocessor.

    Returns:
        Dict of JSON types: `"weights_sha256"`, and `"clip"`, the config of the clips.
    """
    return {
        "weights_sha256": weights_sha256(model),
        "clip": model.preprocessor.clip_spec.get_config(),
    }
