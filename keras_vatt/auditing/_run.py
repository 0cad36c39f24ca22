"""Runs an audit from its settings to its report."""

from __future__ import annotations

import os
import pathlib

import keras
import numpy as np

from keras_vatt._claimed_folder import claim_folder
from keras_vatt._setting_fields import check_settings
from keras_vatt.auditing._contact_sheet import SHEET, write_contact_sheet
from keras_vatt.auditing._corpus import KEPT, read_audited
from keras_vatt.auditing._errors import AuditError
from keras_vatt.auditing._features import encode_corpus
from keras_vatt.auditing._ranking import measure_clips, rank_clips
from keras_vatt.auditing._report import AuditResult, write_report
from keras_vatt.auditing._rounds import run_rounds
from keras_vatt.auditing._settings import RANKED_BY, AuditSettings
from keras_vatt.auditing._truth import truth_report
from keras_vatt.data._report import CorpusReport
from keras_vatt.models._vatt import VATT
from keras_vatt.storage import PresetError, weights_sha256


def audit(settings: AuditSettings) -> AuditResult:
    """Ranks the clips of a corpus by how well their modalities agree.

    A model that was pre-trained on the corpus, or on one like it, finds clips whose
    audio or caption belongs to something else. `settings.output` then contains:

    - `audit.csv`: a row per clip with all measures, the worst first;
    - `audit.json`: the same, with the settings, a summary and counts;
    - `contact_sheet.html`: frames, audio and captions of the worst and the best clips;
    - `kept.jsonl`: with `settings.drop`, a manifest without the worst clips;
    - `data_report.json`: every clip that could not be used, or that lacks audio or a
      caption;
    - `features/`: the features of all clips. An audit with the same model, data and
      folder reads them, also with another ranking, seed or number of rounds.

    The next audit in the same folder replaces these files.

    The encoders run once. Losses and gradients depend on the negatives of a batch: they
    are means over `settings.rounds` random partitions of the clips into batches. They
    are computed in inference mode from the stored features.

    Args:
        settings: `AuditSettings`.

    Returns:
        `AuditResult`.

    Raises:
        AuditError: if a setting has a wrong value, if the preset and the corpus don't
            fit together, if fewer than two clips can be compared, or if the output
            folder has other files.

    Example:
    ```python
    from keras_vatt.auditing import AuditSettings, audit
    from keras_vatt.data import make_demo_corpus

    corpus = make_demo_corpus(
        "noisy", train_clips=8, test_clips=0, misaligned_text=0.5, progress=False
    )
    settings = AuditSettings("vatt_tiny_agnostic", str(corpus), "audited")
    result = audit(settings)
    result.clips[0].segment.caption  # That of the clip with the highest loss.
    ```
    """
    _check(settings)
    corpus = read_audited(settings)
    model = _load(settings)
    folder = pathlib.Path(settings.output)
    _claim(folder, settings, model)
    clips, findings = encode_corpus(model, corpus, settings, folder / "features")
    contrasts = run_rounds(model, clips, settings)
    if not contrasts.losses:
        raise AuditError(_too_few(clips))
    measures = measure_clips(clips, contrasts)
    ranked, order = rank_clips(clips.segments, measures, settings.by)
    num_dropped = _num_dropped(ranked, settings)
    counts = _counts(clips) | {"dropped": num_dropped}
    findings = list(dict.fromkeys([*corpus.findings, *findings]))
    report = CorpusReport(len(clips.segments), tuple(findings))
    result = AuditResult(
        ranked, counts, contrasts.num_negatives, truth_report(ranked), report
    )
    # Those of an earlier audit would not fit the new report.
    for name in (KEPT, SHEET):
        (folder / name).unlink(missing_ok=True)
    write_report(folder, result, settings)
    if settings.drop is not None:
        dropped = {clips.numbers[n] for n in order[:num_dropped]}
        corpus.write_kept(folder, clips.numbers, dropped)
    if settings.sheet_clips:
        write_contact_sheet(folder, result, model.preprocessor.clip_spec, settings)
    return result


def _check(settings):
    check_settings(settings, AuditError)
    if settings.drop is not None and settings.drop >= 1:
        raise AuditError(f"--drop must be below 1, not {settings.drop}")


def _load(settings):
    try:
        model = VATT.from_preset(settings.preset)
    except PresetError as error:
        raise AuditError(str(error)) from error
    if model.preprocessor is None:
        raise AuditError(
            f"the preset {settings.preset!r} has no preprocessor, which defines its "
            "clips"
        )
    if settings.by == "gradient" and len(model.backbone.modalities) < 3:
        raise AuditError(
            "--by gradient needs a model of video, audio and text. The modalities of "
            f"{settings.preset!r} are: {', '.join(model.backbone.modalities)}"
        )
    # The losses of pre-training. The optimizer is never used.
    model.compile("sgd")
    return model


def _claim(folder, settings, model):
    """Marks a folder as that of this audit: of what its features depend on."""
    facts = {
        "data": os.path.abspath(settings.data),
        "short_clips": settings.short_clips,
        "weights": weights_sha256(model),
        "clips": model.preprocessor.clip_spec.get_config(),
        "dtype": keras.dtype_policies.serialize(model.dtype_policy),
    }
    claim_folder(folder, facts, "an audit", AuditError)


def _too_few(clips):
    counts = {m: len(clips.pair(m)) for m in ("audio", "text")}
    reason = f"{counts['audio']} clips have audio and {counts['text']} have a caption"
    return (
        "an audit needs at least two clips with audio, or two with a caption, that the "
        f"model can use. Of the {len(clips.segments)} clips with video, {reason}"
    )


def _num_dropped(ranked, settings):
    """Returns the number of clips to drop; checks that some clip has a rank."""
    count = sum(clip.rank is not None for clip in ranked)
    if not count:
        measure = RANKED_BY[settings.by].replace("_", " ")
        raise AuditError(
            f"no clip has a {measure}, which needs audio and a caption: choose another "
            "--by"
        )
    if settings.drop is None:
        return 0
    return min(round(settings.drop * count), count - 1)


def _counts(clips):
    has = {
        m: clips.present.get(m, np.zeros(len(clips.segments), bool))
        for m in ("audio", "text")
    }
    return {
        "video_audio_and_text": int(np.sum(has["audio"] & has["text"])),
        "video_audio": int(np.sum(has["audio"] & ~has["text"])),
        "video_text": int(np.sum(~has["audio"] & has["text"])),
        "not_measured": int(np.sum(~has["audio"] & ~has["text"])),
    }
