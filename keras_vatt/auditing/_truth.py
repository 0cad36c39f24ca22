"""Agreement of the measures with a ground truth in the manifest."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import roc_auc_score

from keras_vatt.auditing._ranking import PAIRS, AuditedClip, badness
from keras_vatt.auditing._settings import RANKED_BY

# The column of the manifest with the truth of each pair, as `make_demo_corpus` writes.
_COLUMNS = {"video_audio": "audio_aligned", "video_text": "text_aligned"}


def truth_report(clips: list[AuditedClip]) -> dict | None:
    """Computes the area under the ROC curve of each measure.

    An area of 1 means that all misaligned clips are worse than all aligned ones, 0.5
    that the measure says nothing.

    Args:
        clips: list of `AuditedClip`. `Segment.extra` may have `"audio_aligned"` and
            `"text_aligned"`, bools or the strings `"true"` and `"false"`.

    Returns:
        Dict from `"any_pair"`, `"video_audio"` and `"video_text"`, the pair that is
        misaligned, to a dict from measure to a dict with `"auroc"`, and the numbers
        `"clips"` and `"misaligned"` of the clips with the measure and a truth; `None`
        if no measure has both misaligned and aligned clips.
    """
    report = {
        "any_pair": {m: _area(clips, m, PAIRS) for m in RANKED_BY.values()},
        **{
            pair: {
                f"{pair}_{kind}": _area(clips, f"{pair}_{kind}", (pair,))
                for kind in ("loss", "similarity")
            }
            for pair in PAIRS
        },
    }
    report = {
        kind: {name: area for name, area in areas.items() if area is not None}
        for kind, areas in report.items()
    }
    return {kind: areas for kind, areas in report.items() if areas} or None


def _area(clips, measure, pairs):
    """Returns the area of one measure; `None` if it is not defined."""
    known = [
        (getattr(clip, measure), is_wrong)
        for clip in clips
        if getattr(clip, measure) is not None
        and (is_wrong := _is_misaligned(clip, pairs)) is not None
    ]
    misaligned = sum(is_wrong for _, is_wrong in known)
    if misaligned in (0, len(known)):
        return None
    values, labels = (np.array(column) for column in zip(*known, strict=True))
    area = roc_auc_score(labels, badness(measure, values))
    return {"auroc": float(area), "clips": len(known), "misaligned": int(misaligned)}


def _is_misaligned(clip, pairs):
    """Returns whether a pair that the clip has is misaligned; `None` if unknown."""
    present = [
        pair for pair in pairs if getattr(clip, f"{pair}_similarity") is not None
    ]
    truths = [_truth(clip.segment.extra.get(_COLUMNS[pair])) for pair in present]
    if not truths or None in truths:
        return None
    return not all(truths)


def _truth(value):
    """Returns a bool, also for the text of a CSV file; `None` if it is unknown."""
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value.strip().lower())
    return value if isinstance(value, bool) else None
