"""Runs an evaluation from its settings to its report."""

import dataclasses
import pathlib
import tempfile

import keras

from keras_vatt._claimed_folder import claim_folder
from keras_vatt._setting_fields import check_settings
from keras_vatt.data._report import CorpusReport, Problem
from keras_vatt.evaluation._classification import evaluate_classification
from keras_vatt.evaluation._clip_sets import read_splits
from keras_vatt.evaluation._errors import EvaluationError
from keras_vatt.evaluation._linear_probe import evaluate_linear_probe
from keras_vatt.evaluation._report import write_evaluation
from keras_vatt.evaluation._retrieval import evaluate_retrieval
from keras_vatt.evaluation._settings import EvaluationSettings
from keras_vatt.evaluation._zero_shot import evaluate_zero_shot
from keras_vatt.inference._errors import FeatureStoreError
from keras_vatt.inference._feature_store import FeatureStore
from keras_vatt.models._backbone import VATTBackbone
from keras_vatt.models._classifier import (
    VATTAudioClassifier,
    VATTImageClassifier,
    VATTVideoClassifier,
)
from keras_vatt.models._preprocessor import VATTPreprocessor
from keras_vatt.models._vatt import VATT
from keras_vatt.storage import PresetError, weights_sha256

_EVALUATIONS = {
    "retrieval": evaluate_retrieval,
    "zero-shot": evaluate_zero_shot,
    "linear-probe": evaluate_linear_probe,
    "classification": evaluate_classification,
}
_CLASSIFIERS = {
    "video": VATTVideoClassifier,
    "audio": VATTAudioClassifier,
    "image": VATTImageClassifier,
}
# Largest number of skipped clips that the report names; `data_report.json` has all.
_MAX_NAMED = 20


@dataclasses.dataclass(frozen=True)
class _BackboneAlone:
    """The parts that a probe needs; every preset has them."""

    backbone: VATTBackbone
    preprocessor: VATTPreprocessor

    def weight_groups(self):
        return {"backbone": self.backbone}

    @property
    def dtype_policy(self):
        return self.backbone.dtype_policy


def evaluate(settings: EvaluationSettings) -> tuple[dict, str]:
    """Evaluates a preset on a dataset.

    If `settings.output` is given, that folder contains `evaluation.json`,
    `evaluation.md`, `data_report.json` (every clip that was missing, corrupt or short)
    and `features/`. The same evaluation with the same folder resumes an earlier one
    that was interrupted.

    Args:
        settings: `EvaluationSettings`.

    Returns:
        Tuple of the report, a dict (see `write_evaluation`), and of the same report as
        Markdown.

    Raises:
        EvaluationError: if a setting has a wrong value; if the settings, the preset and
            the dataset don't fit together; or if the folder has the results of another
            evaluation, or its features are damaged.

    Example:
    ```python
    from keras_vatt.data import make_demo_corpus
    from keras_vatt.evaluation import EvaluationSettings, evaluate

    corpus = make_demo_corpus("demo", train_clips=2, test_clips=8, progress=False)
    settings = EvaluationSettings("retrieval", "vatt_tiny_agnostic", str(corpus))
    report, text = evaluate(settings)
    ```
    """
    check_settings(settings, EvaluationError)
    splits = read_splits(settings)
    modality = settings.modality or next(iter(splits.values())).modality
    settings = dataclasses.replace(settings, modality=modality)
    model = _load(settings)
    if settings.output is None:
        with tempfile.TemporaryDirectory() as folder:
            return _evaluate(model, splits, settings, pathlib.Path(folder), False)
    folder = pathlib.Path(settings.output)
    _claim(folder, settings, model)
    return _evaluate(model, splits, settings, folder, True)


def _evaluate(model, splits, settings, folder, keep):
    def open_store(name):
        return FeatureStore(folder / "features" / name if keep else None)

    evaluation = _EVALUATIONS[settings.task]
    try:
        results, findings = evaluation(model, splits, settings, open_store)
    except FeatureStoreError as error:
        raise EvaluationError(str(error)) from error
    missing = [f for read in splits.values() for f in read.missing]
    findings = list(dict.fromkeys([*missing, *findings]))
    report = CorpusReport(_num_used(splits, findings), tuple(findings))
    report.save(folder / "data_report.json")
    written = write_evaluation(folder, results, _facts(settings, splits, findings))
    return written, (folder / "evaluation.md").read_text("utf-8")


def _load(settings):
    """Loads the model of a preset, of the class that the task needs."""
    try:
        if settings.task == "linear-probe":
            return _BackboneAlone(
                VATTBackbone.from_preset(settings.preset),
                VATTPreprocessor.from_preset(settings.preset),
            )
        cls = VATT
        if settings.task == "classification":
            cls = _CLASSIFIERS[settings.modality]
        model = cls.from_preset(settings.preset)
    except PresetError as error:
        hint = ""
        if settings.task == "classification":
            hint = " (classification needs the preset of a fine-tuned classifier)"
        raise EvaluationError(f"{error}{hint}") from error
    if model.preprocessor is None:
        raise EvaluationError(
            f"the preset {settings.preset!r} has no preprocessor, which defines its "
            "clips"
        )
    return model


def _claim(folder, settings, model):
    """Marks a folder as that of this evaluation, unless it has another one."""
    facts = settings.results_depend_on() | {
        "weights": weights_sha256(model),
        "clips": model.preprocessor.clip_spec.get_config(),
        "dtype": keras.dtype_policies.serialize(model.dtype_policy),
    }
    claim_folder(folder, facts, "an evaluation", EvaluationError)


def _num_clips(splits):
    return len(_test_segments(splits))


def _num_used(splits, findings):
    """Counts the test clips that could be decoded, some of them without audio."""
    left_out = {f.where for f in findings if f.problem.consequence == "skipped"}
    return sum(str(s.path) not in left_out for s in _test_segments(splits))


def _test_segments(splits):
    return {clip.segment for read in splits.values() for clip in read.test}


def _facts(settings, splits, findings):
    read = next(iter(splits.values()))
    left_out = [f for f in findings if f.problem is not Problem.SHORT]
    counts = CorpusReport(0, tuple(left_out)).counts
    named = [f"{f.where}: {f.reason}" for f in left_out[:_MAX_NAMED]]
    facts = settings.results_depend_on() | {
        "classes": len(read.class_names) or None,
        "test clips on disk": _num_clips(splits),
        "short clips": len(findings) - len(left_out),
        "left out": {str(p): count for p, count in counts.items()} or None,
        "left out, by name": named or None,
        "left out, all": "data_report.json" if len(left_out) > _MAX_NAMED else None,
    }
    return {name: value for name, value in facts.items() if value is not None}
