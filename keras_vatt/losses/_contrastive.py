"""Noise-contrastive losses between video and its audio or captions."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

# Far below any cosine. A lower value could overflow `exp`, because a compiler may round
# a logit and the subtracted maximum differently.
_MASKED_SIMILARITY = -1e4


class ContrastiveLoss(keras.losses.Loss):
    """Base class of losses on cosine similarities, with candidates and masks.

    A subclass computes the loss of each clip in `_contrast`. All computation is in
    float32, independent of the dtype of the embeddings.

    With `skip_fraction`, the valid clips of the highest loss in each batch are masked:
    their audio or caption is likely to belong to another clip. This is not in the
    papers; the guide "When do gradients conflict, and does it matter?" measures it.

    Args:
        temperature: float. Divisor of the similarities. Defaults to
            `0.07`.
        name: str. Name of the loss.
        skip_fraction: float in `[0, 1)`. Fraction of the valid clips of a batch to
            mask. Defaults to `0.0`.
    """

    def __init__(
        self,
        temperature: float = 0.07,
        name: str | None = None,
        skip_fraction: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, reduction="mean", dtype="float32", **kwargs)
        if not 0 < temperature < float("inf"):
            raise ValueError(
                "`temperature` must be positive and finite. "
                f"Received: temperature={temperature}"
            )
        if not 0 <= skip_fraction < 1:
            raise ValueError(
                "`skip_fraction` must be at least 0 and below 1. "
                f"Received: skip_fraction={skip_fraction}"
            )
        self.temperature = temperature
        self.skip_fraction = skip_fraction

    def __call__(self, video: Any, other: Any, mask: Any = None) -> Any:
        """Computes the mean loss over the valid clips.

        Args:
            video: float tensor of shape `(batch, dim)`: one embedding per clip.
            other: float tensor of shape `(batch * candidates, dim)`: the
                embeddings of the other modality, candidate index fastest;
                `candidates` is 1 for audio.
            mask: float, int or bool tensor of shape `(batch,)`, 0 where the clip has
                no valid `other`; or `(batch, candidates)`, 0 for each candidate that
                is not valid: a clip is valid if one of its candidates is. Values are
                rounded to 0 or 1. Defaults to `None`, all valid.

        Returns:
            float32 scalar; 0 if no clip is valid.

        Raises:
            ValueError: if the mask has another shape.
        """
        return ops.mean(self.per_clip(video, other, mask))

    def per_clip(self, video: Any, other: Any, mask: Any = None) -> Any:
        """Computes the loss of each clip, scaled so that its mean is the loss.

        Args and shapes are those of `__call__`.

        Returns:
            float32 tensor of shape `(batch,)`.
        """
        video = _normalized(video)
        batch_size = ops.shape(video)[0]
        other = _normalized(other)
        other = ops.reshape(other, (batch_size, -1, other.shape[-1]))
        similarities = ops.einsum("id,jnd->ijn", video, other)
        positives = ops.sum(video[:, None] * other, axis=-1)
        if mask is None and not self.skip_fraction:
            return self._contrast(similarities, positives, 0.0)
        if mask is None:
            mask = ops.ones_like(positives[:, :1])
        mask = _checked_mask(mask, positives)
        if self.skip_fraction:
            losses = self._masked_contrast(similarities, positives, mask)
            mask = mask * self._kept(losses, valid_clips(mask))[:, None]
        losses = self._masked_contrast(similarities, positives, mask)
        is_valid = valid_clips(mask)
        num_clips = ops.cast(batch_size, "float32")
        scale = num_clips / ops.maximum(ops.sum(is_valid), 1.0)
        return ops.where(is_valid > 0, losses * scale, 0.0)

    def _masked_contrast(self, similarities, positives, mask):
        masked = (1 - mask) * _MASKED_SIMILARITY
        return self._contrast(similarities, positives, masked)

    def _kept(self, losses, is_valid):
        """Returns 1 for the valid clips of the lowest losses, 0 for the others."""
        losses = ops.where(is_valid > 0, ops.stop_gradient(losses), float("inf"))
        ranks = ops.argsort(ops.argsort(losses))
        count = ops.round((1 - self.skip_fraction) * ops.sum(is_valid))
        kept = ops.cast(ranks, "float32") < ops.maximum(count, 1.0)
        return ops.cast(kept, "float32")

    def _contrast(self, similarities, positives, masked):
        """Computes the loss of each clip.

        Args:
            similarities: `(batch, batch, candidates)`, similarity of the video of clip
                i to the candidates of clip j.
            positives: `(batch, candidates)`, the diagonal of `similarities`.
            masked: `(batch, candidates)`, `(batch, 1)` or `0.0`; added to the
                similarities of the candidates, to remove invalid ones.

        Returns:
            `(batch,)`.
        """
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        return {
            "temperature": self.temperature,
            "skip_fraction": self.skip_fraction,
            "name": self.name,
        }


@keras.saving.register_keras_serializable(package="keras_vatt")
class AsymmetricNCE(ContrastiveLoss):
    """NCE (one candidate) or MIL-NCE (several), one pooled denominator.

    For clip i: minus the log of the fraction that its own candidates have in the
    sum, over exponentiated similarities, of video i to all candidates of all
    clips and of all videos to the candidates of clip i. VATT's default for both
    pairs; VATT paper, section 3.3; `AsymmetricNCE` of the original code.

    Args:
        temperature: float. Divisor of the similarities. Defaults to
            `0.07`.
        name: str. Defaults to `"asymmetric_nce"`.
        skip_fraction: float in `[0, 1)`. Fraction of the valid clips of a batch to
            mask, those of the highest loss. Defaults to `0.0`.

    Example:
    ```python
    loss = keras_vatt.losses.AsymmetricNCE()
    video = np.random.normal(size=(4, 8))
    text = np.random.normal(size=(4 * 5, 8))  # 5 captions per clip
    loss(video, text, mask=np.array([1.0, 1.0, 0.0, 1.0]))
    ```
    """

    def __init__(
        self,
        temperature: float = 0.07,
        name: str | None = "asymmetric_nce",
        skip_fraction: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(temperature, name, skip_fraction, **kwargs)

    def _contrast(self, similarities, positives, masked):
        to_all_candidates, from_all_videos = _masked(similarities, masked)
        pooled = ops.concatenate([to_all_candidates, from_all_videos], axis=1)
        positive = ops.logsumexp((positives + masked) / self.temperature, axis=1)
        return ops.logsumexp(pooled / self.temperature, axis=(1, 2)) - positive


@keras.saving.register_keras_serializable(package="keras_vatt")
class SymmetricNCE(ContrastiveLoss):
    """NCE or MIL-NCE as the sum of two terms with a denominator each.

    One term contrasts the video of a clip with all candidates of all clips, the
    other the candidates of a clip with all videos. `SymmetricNCE` of the
    original code.

    Args:
        temperature: float. Divisor of the similarities. Defaults to
            `0.07`.
        name: str. Defaults to `"symmetric_nce"`.
        skip_fraction: float in `[0, 1)`. Fraction of the valid clips of a batch to
            mask, those of the highest loss. Defaults to `0.0`.

    Example:
    ```python
    loss = keras_vatt.losses.SymmetricNCE(temperature=0.1)
    loss(np.random.normal(size=(4, 8)), np.random.normal(size=(4, 8)))
    ```
    """

    def __init__(
        self,
        temperature: float = 0.07,
        name: str | None = "symmetric_nce",
        skip_fraction: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(temperature, name, skip_fraction, **kwargs)

    def _contrast(self, similarities, positives, masked):
        positive = ops.logsumexp((positives + masked) / self.temperature, axis=1)
        return sum(
            ops.logsumexp(contrasted / self.temperature, axis=(1, 2)) - positive
            for contrasted in _masked(similarities, masked)
        )


def rounded_mask(mask: Any):
    """Returns the mask with each value rounded to 0 or 1, in float32; NaN becomes 0."""
    return ops.cast(ops.cast(mask, "float32") >= 0.5, "float32")


def valid_clips(mask: Any):
    """Returns which clips have a valid candidate.

    Args:
        mask: tensor of shape `(batch,)` or `(batch, candidates)`.

    Returns:
        float32 tensor of shape `(batch,)`, 1 for these clips and 0 for the others.
    """
    mask = rounded_mask(mask)
    return mask if len(mask.shape) == 1 else ops.max(mask, axis=1)


def _checked_mask(mask, positives):
    """Returns the rounded mask with two dimensions."""
    mask = rounded_mask(mask)
    if len(mask.shape) == 1:
        mask = mask[:, None]
    batch_size, candidates = positives.shape
    fits = (
        len(mask.shape) == 2
        and (batch_size is None or mask.shape[0] in (None, batch_size))
        and (candidates is None or mask.shape[1] in (None, 1, candidates))
    )
    if not fits:
        raise ValueError(
            "`mask` must have the shape (batch,) or (batch, candidates), here "
            f"({batch_size},) or ({batch_size}, {candidates}). "
            f"Received: shape {tuple(mask.shape)}"
        )
    return mask


def _masked(similarities, masked):
    """Returns the masked similarities in both directions.

    The first direction is from each video to all candidates, the second one from all
    videos to the candidates of each clip.

    Args:
        similarities: `(batch, batch, candidates)`, of video i to candidates of clip j.
        masked: see `ContrastiveLoss._contrast`.

    Returns:
        Two tensors of the shape of `similarities`, clip i first.
    """
    masked = ops.convert_to_tensor(masked, dtype="float32")
    if len(masked.shape) == 0:
        return similarities, ops.transpose(similarities, (1, 0, 2))
    to_all_candidates = similarities + masked[None]
    to_all_videos = ops.transpose(similarities, (1, 0, 2)) + masked[:, None]
    return to_all_candidates, to_all_videos


def _normalized(embeddings):
    embeddings = ops.cast(embeddings, "float32")
    squared_norm = ops.sum(ops.square(embeddings), axis=-1, keepdims=True)
    return embeddings * ops.rsqrt(ops.maximum(squared_norm, 1e-12))
