"""The measures of each clip, and the order from the worst clip to the best."""

from __future__ import annotations

import dataclasses

import numpy as np

from keras_vatt.auditing._features import ClipFeatures
from keras_vatt.auditing._rounds import Contrasts
from keras_vatt.auditing._row_cosines import row_cosines
from keras_vatt.auditing._settings import RANKED_BY
from keras_vatt.data._manifest import Segment

PAIRS = ("video_audio", "video_text")
# In the order of the columns of the report.
MEASURES = (
    "gradient_cosine",
    "loss",
    "video_audio_loss",
    "video_text_loss",
    "similarity",
    "video_audio_similarity",
    "video_text_similarity",
)


@dataclasses.dataclass(frozen=True)
class AuditedClip:
    """A clip of an audit. Measures are `None` if the clip lacks a modality.

    Args:
        rank: int, from 1 for the worst clip; `None` without the measure of the ranking.
        segment: `keras_vatt.data.Segment`.
        gradient_cosine: float. Cosine of the gradients of both losses at the features
            of the video.
        loss: float. Mean of the losses that the clip has.
        video_audio_loss: float. Contrastive loss of video and audio.
        video_text_loss: float. Contrastive loss of video and caption.
        similarity: float. The smaller of the similarities that the clip has.
        video_audio_similarity: float. Cosine of the embeddings of video and audio.
        video_text_similarity: float. Cosine of the embeddings of video and caption.
    """

    rank: int | None
    segment: Segment
    gradient_cosine: float | None = None
    loss: float | None = None
    video_audio_loss: float | None = None
    video_text_loss: float | None = None
    similarity: float | None = None
    video_audio_similarity: float | None = None
    video_text_similarity: float | None = None

    def measures(self) -> dict[str, float | None]:
        """Returns the measures by name, in the order of the columns of the report."""
        return {name: getattr(self, name) for name in MEASURES}


def measure_clips(clips: ClipFeatures, contrasts: Contrasts) -> dict[str, np.ndarray]:
    """Computes all measures.

    Args:
        clips: `ClipFeatures`.
        contrasts: `Contrasts` of the same clips.

    Returns:
        Dict from the names in `MEASURES` to float64 arrays of shape `(clips,)`, NaN for
        clips that lack a modality.
    """
    missing = np.full(len(clips.segments), np.nan)
    measures = {"gradient_cosine": contrasts.gradient_cosine}
    for modality in ("audio", "text"):
        loss = contrasts.losses.get(modality, missing)
        measures[f"video_{modality}_loss"] = loss
        measures[f"video_{modality}_similarity"] = _similarities(clips, modality)
    losses, similarities = (
        np.stack([measures[f"{pair}_{kind}"] for pair in PAIRS])
        for kind in ("loss", "similarity")
    )
    has_loss = ~np.isnan(losses)
    counts = has_loss.sum(axis=0)
    total = np.where(has_loss, losses, 0.0).sum(axis=0)
    measures["loss"] = np.where(counts > 0, total / np.maximum(counts, 1), np.nan)
    # Unlike `nanmin`, it does not warn of clips without any.
    measures["similarity"] = np.fmin(*similarities)
    return {name: measures[name] for name in MEASURES}


def rank_clips(
    segments: list[Segment], measures: dict[str, np.ndarray], by: str
) -> tuple[list[AuditedClip], list[int]]:
    """Orders clips from the worst to the best.

    Clips without the measure come last, without a rank. Equal clips stay in order.

    Args:
        segments: list of `Segment`.
        measures: dict from name to array, see `measure_clips`.
        by: string, a key of `RANKED_BY`.

    Returns:
        Tuple of a list of `AuditedClip` and of a list of their indices in `segments`.
    """
    scores = badness(RANKED_BY[by], measures[RANKED_BY[by]])
    # NaN is sorted to the end.
    order = np.argsort(-scores, kind="stable").tolist()
    clips = []
    for rank, n in enumerate(order, start=1):
        values = {name: _number(values[n]) for name, values in measures.items()}
        has_rank = not np.isnan(scores[n])
        clips.append(AuditedClip(rank if has_rank else None, segments[n], **values))
    return clips, order


def badness(measure: str, values: np.ndarray) -> np.ndarray:
    """Returns values that are higher for clips that agree less."""
    return values if measure.endswith("loss") else -values


def _similarities(clips, modality):
    cosines = np.full(len(clips.segments), np.nan)
    rows = clips.pair(modality)
    if len(rows):
        video = clips.outputs["video"][f"to_{modality}"][rows]
        cosines[rows] = row_cosines(video, clips.outputs[modality]["to_video"][rows])
    return cosines


def _number(value):
    return None if np.isnan(value) else float(value)
