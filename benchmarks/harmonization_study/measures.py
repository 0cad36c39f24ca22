"""Compares the measures of `keras-vatt audit` with the truth about clips."""

import numpy as np
from outcomes import encode
from sklearn.metrics import roc_auc_score, roc_curve

from keras_vatt.auditing import AuditSettings
from keras_vatt.auditing._features import ClipFeatures
from keras_vatt.auditing._ranking import badness, measure_clips
from keras_vatt.auditing._rounds import run_rounds
from keras_vatt.auditing._settings import RANKED_BY
from keras_vatt.training._cosine_histogram import BIN_EDGES

# Points of the stored ROC curves.
FALSE_POSITIVE_RATES = np.linspace(0, 1, 41)
_BY_PAIR = ("video_{}_loss", "video_{}_similarity")


def measure(trained):
    """Returns the measures of all train clips, as in `keras-vatt audit`.

    Args:
        trained: `training.Trained`, at any point of its training.

    Returns:
        Dict from the name of a measure to a float array `(clips,)`.
    """
    pairing, count = trained.pairing, len(trained.train.contents)
    own = encode(trained.model, trained.train)
    sources = {"audio": pairing.audio, "text": pairing.text}
    outputs = {
        modality: {
            name: rows[sources.get(modality, slice(None))]
            for name, rows in arrays.items()
        }
        for modality, arrays in own.items()
    }
    present = {modality: np.ones(count, bool) for modality in sources}
    clips = ClipFeatures(list(range(count)), [None] * count, outputs, present)
    settings = AuditSettings(
        preset="the model of this run",
        data="its train clips",
        output="-",
        seed=trained.run.seed,
        progress=False,
    )
    return measure_clips(clips, run_rounds(trained.model, clips, settings))


def detection(trained, measures):
    """Compares measures with the truth.

    Args:
        trained: `training.Trained`.
        measures: the result of `measure`.

    Returns:
        Dict with `"auroc"` (from a measure to the area under the ROC curve, for clips
        that are misaligned in any pair; those of one pair for that pair), `"roc"` (true
        positive rates at `FALSE_POSITIVE_RATES`), and `"aligned"` and `"misaligned"`,
        histograms of the gradient cosines. Without misaligned clips, only the
        histograms.
    """
    pairing = trained.pairing
    wrong = {"audio": ~pairing.audio_aligned, "text": ~pairing.text_aligned}
    any_wrong = wrong["audio"] | wrong["text"]
    cosines = measures["gradient_cosine"]
    result = {
        name: np.histogram(cosines[rows], BIN_EDGES)[0].tolist()
        for name, rows in (("aligned", ~any_wrong), ("misaligned", any_wrong))
    }
    if not any_wrong.any():
        return result
    scores = {name: badness(name, measures[name]) for name in RANKED_BY.values()}
    auroc = {name: _auroc(any_wrong, score) for name, score in scores.items()}
    for modality, truth in wrong.items():
        for name in (template.format(modality) for template in _BY_PAIR):
            if truth.any():
                auroc[name] = _auroc(truth, badness(name, measures[name]))
    return result | {
        "auroc": auroc,
        "roc": {name: _roc(any_wrong, score) for name, score in scores.items()},
    }


def _auroc(truth, score):
    return round(float(roc_auc_score(truth, score)), 4)


def _roc(truth, score):
    false_positives, true_positives, _ = roc_curve(truth, score)
    rates = np.interp(FALSE_POSITIVE_RATES, false_positives, true_positives)
    return [round(float(rate), 4) for rate in rates]
