"""The pairs of modalities that VATT compares: weights and masks of their losses."""

import numbers

from keras import ops

from keras_vatt.losses._contrastive import rounded_mask, valid_clips

# The losses, in the order of the Gram matrix: the modality and the embedding of each
# side, and the masks of the valid pairs.
PAIRS = {
    "video_audio": (("video", "to_audio"), ("audio", "to_video"), ("audio_mask",)),
    "video_text": (("video", "to_text"), ("text", "to_video"), ("text_mask",)),
    "audio_text": (
        ("audio", "to_video"),
        ("text", "to_video"),
        ("audio_mask", "text_mask"),
    ),
}


def checked_weights(loss_weights, modalities, bridge_head):
    """Checks the weights of the losses of a model.

    Args:
        loss_weights: dict, see `VATT.compile`; or `None`.
        modalities: tuple of strings, those of the backbone.
        bridge_head: the bridge head of the model.

    Returns:
        Dict from the pairs with a positive weight to floats, in the order of `PAIRS`.

    Raises:
        ValueError: see `VATT.compile`.
    """
    if loss_weights is None:
        loss_weights = {
            f"video_{other}": 1.0
            for other in ("audio", "text")
            if other in modalities and "video" in modalities
        }
    if not isinstance(loss_weights, dict) or not all(
        pair in PAIRS and _is_weight(weight) for pair, weight in loss_weights.items()
    ):
        raise ValueError(
            f"`loss_weights` must be a dict from {list(PAIRS)} to finite "
            f"non-negative numbers. Received: loss_weights={loss_weights}"
        )
    weights = {
        pair: float(loss_weights[pair])
        for pair in PAIRS
        if loss_weights.get(pair, 0) > 0
    }
    for pair in weights:
        if not set(pair.split("_")) <= set(modalities):
            raise ValueError(
                f"The loss '{pair}' needs modalities that this model does not "
                f"have. It has: {modalities}"
            )
    if not weights:
        raise ValueError(
            "At least one loss must have a positive weight. "
            f"Received: loss_weights={loss_weights}"
        )
    together = bridge_head.embeds_audio_and_text_together
    if "audio_text" in weights and not together:
        raise ValueError(
            "An audio-text loss needs a common space of audio and text: make the "
            "model with `bridge_head=keras_vatt.layers.JointBridgeHead()`."
        )
    return weights


def pair_mask(pair, batch):
    """Returns the mask of a pair, (batch, 1) or (batch, candidates).

    Args:
        pair: string, a key of `PAIRS`.
        batch: dict of tensors.

    Returns:
        Tensor; `None` if the batch has no mask of the pair.
    """
    mask = None
    for name in PAIRS[pair][2]:
        if batch.get(name) is None:
            continue
        factor = rounded_mask(batch[name])
        _check_mask(name, tuple(factor.shape))
        if len(factor.shape) == 1:
            factor = factor[:, None]
        mask = factor if mask is None else mask * factor
    return mask


def valid_clips_of_pair(pair, batch):
    """Returns the clips of a batch that count in the loss of a pair.

    Args:
        pair: string, a key of `PAIRS`.
        batch: dict of tensors.

    Returns:
        Tensor of 0 and 1, one value for each clip; `None` if all clips count.
    """
    mask = pair_mask(pair, batch)
    return None if mask is None else valid_clips(mask)


def kept_mask(mask, kept):
    """Returns a mask of a batch in which more clips are masked.

    Args:
        mask: tensor of shape `(batch,)` or `(batch, candidates)`, or `None`.
        kept: bool tensor of shape `(batch,)`, false for the clips to mask.

    Returns:
        float32 tensor of the shape of `mask`, or of `kept`.
    """
    kept = ops.cast(kept, "float32")
    if mask is None:
        return kept
    mask = rounded_mask(mask)
    return mask * (kept if len(mask.shape) == 1 else kept[:, None])


def _is_weight(value):
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return is_number and 0 <= value < float("inf")


def _check_mask(name, shape):
    has_candidates = name == "text_mask"
    if len(shape) == 1 or (len(shape) == 2 and (has_candidates or shape[1] == 1)):
        return
    alternative = " or (batch, candidates)" if has_candidates else ""
    raise ValueError(
        f"'{name}' must have the shape (batch,){alternative}. Received: shape={shape}"
    )
