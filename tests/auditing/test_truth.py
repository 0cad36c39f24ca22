"""The areas under the ROC curve equal those of scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from keras_vatt.auditing import AuditedClip
from keras_vatt.auditing._truth import truth_report
from keras_vatt.data import Segment

pytestmark = pytest.mark.once


def clips_with(audio_aligned, text_aligned, seed=0):
    """Clips of random measures, and of a truth."""
    random = np.random.default_rng(seed)
    clips = []
    for audio, text in zip(audio_aligned, text_aligned, strict=True):
        extra = {"audio_aligned": audio, "text_aligned": text}
        extra = {name: truth for name, truth in extra.items() if truth is not None}
        values = random.normal(size=7).tolist()
        clips.append(AuditedClip(1, Segment("a.mp4", extra=extra), *values))
    return clips


def test_areas_are_those_of_scikit_learn():
    random = np.random.default_rng(1)
    audio, text = (random.uniform(size=(2, 50)) < 0.7).tolist()
    clips = clips_with(audio, text)
    report = truth_report(clips)
    wrong = {
        "any_pair": ~(np.array(audio) & np.array(text)),
        "video_audio": ~np.array(audio),
        "video_text": ~np.array(text),
    }
    measures = {
        "any_pair": {"gradient_cosine": -1, "similarity": -1, "loss": 1},
        "video_audio": {"video_audio_loss": 1, "video_audio_similarity": -1},
        "video_text": {"video_text_loss": 1, "video_text_similarity": -1},
    }
    for kind, signs in measures.items():
        assert set(report[kind]) == set(signs)
        for name, sign in signs.items():
            values = [sign * getattr(clip, name) for clip in clips]
            area = report[kind][name]
            assert area["auroc"] == pytest.approx(roc_auc_score(wrong[kind], values))
            assert (area["clips"], area["misaligned"]) == (50, wrong[kind].sum())


def test_a_measure_that_separates_has_the_area_one():
    audio = [True, False, True, False]
    clips = [
        AuditedClip(
            1,
            Segment("a.mp4", extra={"audio_aligned": aligned, "text_aligned": True}),
            gradient_cosine=0.5 if aligned else -0.5,
            loss=1.0 if aligned else 2.0,
            video_audio_similarity=0.9 if aligned else 0.1,
            video_text_similarity=0.5,
            similarity=0.5 if aligned else 0.1,
        )
        for aligned in audio
    ]
    areas = truth_report(clips)["any_pair"]
    assert {area["auroc"] for area in areas.values()} == {1.0}


def test_clips_without_a_truth_or_a_measure_are_left_out():
    clips = clips_with([True, False, None, False], [True, True, True, None])
    clips.append(AuditedClip(None, clips[1].segment))
    report = truth_report(clips)
    assert report["any_pair"]["loss"]["clips"] == 2
    assert report["video_audio"]["video_audio_loss"]["clips"] == 3
    assert "video_text" not in report  # All of them are aligned.


def test_a_truth_may_be_text_as_in_csv_files():
    audio = [True, False, True, False]
    as_text = [str(aligned) for aligned in audio]
    report = truth_report(clips_with(audio, ["true"] * 4))
    assert report == truth_report(clips_with(as_text, [True] * 4))
    assert report["any_pair"]["loss"]["misaligned"] == 2


@pytest.mark.parametrize("truth", [None, True, "false", 0, "no"])
def test_no_area_without_both_kinds_of_clips(truth):
    assert truth_report(clips_with([truth] * 5, [truth] * 5)) is None


def test_the_truth_of_a_pair_that_a_clip_lacks_does_not_count():
    clips = clips_with([True, False, False], [True, True, True])
    lacking = AuditedClip(1, clips[2].segment, loss=1.0, video_text_similarity=0.5)
    report = truth_report([*clips[:2], lacking])
    assert report["any_pair"]["loss"]["misaligned"] == 1
