"""Losses of clips, and cosines of their gradients, in random batches.

A contrastive loss compares a clip with the other clips of its batch. In each round, the
clips of a pair of modalities are partitioned into random batches of one size, so that
all clips have the same number of negatives. If all clips have both pairs, both losses
see the same batches, as in a training step with `compare="features"`.

Only the bridge head runs, on features that were computed once, in inference mode: batch
norm uses its moving averages, as the embeddings of search and retrieval do. A clip's
measures then depend on the other clips only as negatives. In training mode, small
batches would add the noise of their statistics.
"""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import tqdm

from keras_vatt.auditing._errors import AuditError
from keras_vatt.auditing._features import POOLED, ClipFeatures
from keras_vatt.auditing._row_cosines import row_cosines
from keras_vatt.auditing._settings import AuditSettings
from keras_vatt.models._vatt import VATT
from keras_vatt.training._feature_gradients import loss_at_features


@dataclasses.dataclass(frozen=True)
class Contrasts:
    """Means over the rounds, NaN for clips that lack a modality.

    Args:
        losses: dict from `"audio"` and `"text"` to the loss between video and this
            modality, a float64 array of shape `(clips,)`.
        gradient_cosine: float64 array of shape `(clips,)`, the cosine of the gradients
            of both losses at the video features.
        num_negatives: dict from modality to int.
    """

    losses: dict[str, np.ndarray]
    gradient_cosine: np.ndarray
    num_negatives: dict[str, int]


def run_rounds(model: VATT, clips: ClipFeatures, settings: AuditSettings) -> Contrasts:
    """Contrasts all clips in several rounds.

    Args:
        model: `keras_vatt.VATT`, compiled with the losses to compute.
        clips: `ClipFeatures`.
        settings: `AuditSettings`.

    Returns:
        `Contrasts`. A modality that fewer than two clips have is left out.

    Raises:
        AuditError: if a loss or a gradient is not finite.
    """
    pools = {m: clips.pair(m) for m in ("audio", "text")}
    pools = {m: pool for m, pool in pools.items() if len(pool) >= 2}
    sizes = {m: min(settings.negatives + 1, len(pool)) for m, pool in pools.items()}
    contrasts = {m: PairContrast(model, m) for m in pools}
    losses = {m: [] for m in pools}
    cosines = [np.full(len(clips.segments), np.nan)] if len(pools) < 2 else []
    random = np.random.default_rng(settings.seed)
    bar = tqdm.tqdm(
        total=settings.rounds * sum(map(len, pools.values())),
        desc="contrasting",
        unit="clip",
        disable=not settings.progress,
    )
    with bar:
        for _ in range(settings.rounds):
            order = random.permutation(len(clips.segments))
            gradients = []
            for m, contrast in contrasts.items():
                own = order[np.isin(order, pools[m])]
                terms, of_video = _run_round(contrast, clips, m, own, sizes[m], bar)
                losses[m].append(terms)
                gradients.append(of_video)
            if len(gradients) == 2:
                cosines.append(row_cosines(*gradients))
    return Contrasts(
        {m: np.mean(of_rounds, axis=0) for m, of_rounds in losses.items()},
        np.mean(cosines, axis=0),
        {m: size - 1 for m, size in sizes.items()},
    )


def batches_of(order: np.ndarray, size: int) -> list[tuple[np.ndarray, int]]:
    """Cuts an order of clips into batches of one size.

    The last batch is filled up with clips from the beginning of the order, whose
    results are not used: they have theirs from the first batch.

    Args:
        order: int array of shape `(clips,)`, with at least `size` clips.
        size: int.

    Returns:
        List of tuples of an int array of shape `(size,)` and of the number of clips
        whose results count, the first ones.
    """
    batches = []
    for start in range(0, len(order), size):
        own = order[start : start + size]
        batches.append((np.concatenate([own, order[: size - len(own)]]), len(own)))
    return batches


def _run_round(contrast, clips, modality, order, size, bar):
    """Returns the loss of each clip and its gradient at the video features, or NaN."""
    video = clips.outputs["video"][POOLED]
    other = clips.outputs[modality][POOLED]
    losses = np.full(len(clips.segments), np.nan)
    gradients = np.full(video.shape, np.nan, np.float32)
    for batch, count in batches_of(order, size):
        results = contrast.predict_on_batch(
            {"video": video[batch], modality: other[batch]}
        )
        if not all(np.isfinite(values).all() for values in results.values()):
            raise AuditError(
                f"the loss of video and {modality}, or its gradient, is not finite for "
                "some clips: the weights of the model may be damaged"
            )
        own = batch[:count]
        losses[own] = results["loss"][:count]
        gradients[own] = results["gradient"][:count]
        bar.update(count)
    return losses, gradients


class PairContrast(keras.Model):
    """Computes the loss of each clip of a batch, and its gradient.

    Args:
        vatt: `keras_vatt.VATT`, compiled.
        modality: string, `"audio"` or `"text"`.
    """

    def __init__(self, vatt, modality):
        # Features and gradients stay float32, whatever the policy of the model.
        super().__init__(dtype="float32")
        self.vatt = vatt
        name = f"video_{modality}_loss"
        (self._pair,) = [loss for loss in vatt.branch_losses() if loss.name == name]
        self.built = True

    def call(self, features):
        terms, gradients = loss_at_features(self.vatt, self._pair, features)
        return {"loss": terms, "gradient": gradients["video"]}
