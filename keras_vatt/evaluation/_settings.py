"""Settings of an evaluation."""

import dataclasses
import os
from typing import Literal

from keras_vatt._setting_fields import REQUIRED, setting
from keras_vatt.data._corpus_settings import (
    allow_outside_setting,
    caption_language_setting,
    num_workers_setting,
    short_clips_setting,
)
from keras_vatt.data.datasets import labeled_datasets

TASKS = ("retrieval", "zero-shot", "linear-probe", "classification")
METHODS = ("logistic_regression", "vatt", "svm")
MODALITIES = ("video", "audio", "image")
_CAPTIONED = "for captioned videos without --dataset: "


@dataclasses.dataclass(frozen=True)
class EvaluationSettings:
    """Settings of `evaluate`.

    Args:
        task: string. `"retrieval"`, `"zero-shot"`, `"linear-probe"` or
            `"classification"`.
        preset: string. A built-in preset, a folder, or `hf://owner/name`.
        data: string. Folder of the dataset; for retrieval also a manifest or a folder
            of videos, see `keras_vatt.data.read_corpus`.
        dataset: string. Name of a dataset, see
            `keras_vatt.data.datasets.labeled_datasets`. Defaults to `None`, a corpus of
            captioned videos.
        split: int. Number of the official split, counted from 1, or `"all"` for the
            mean over the splits. Defaults to `1`.
        windows: int. Number of windows per test clip; images have one. Defaults to `4`.
        crops: int. Number of crops per window of video, or per image. Defaults to
            `None`: 3 for the classification of video, as in VATT, otherwise 1.
        method: string. The probe, see `linear_probe`. Defaults to
            `"logistic_regression"`.
        modality: string. `"video"`, `"audio"` or `"image"`. Defaults to `None`, that of
            the dataset.
        templates: tuple of strings, for zero-shot classification. The name of a class
            replaces `{}`. Defaults to `("{}",)`.
        short_clips: string. Rule for clips that are shorter than the model's:
            `"repeat"`, `"pad"` or `"error"`, which skips them. Defaults to `"repeat"`.
        batch_size: int. Number of windows per batch. Defaults to `32`.
        num_workers: int. Number of threads that decode clips. Defaults to `None`, the
            number of processors.
        limit: int. Number of clips to evaluate on, and to train a probe on, evenly
            spaced in the list of the dataset. Defaults to `None`, all.
        output: string. Folder of the report. Defaults to `None`, no files.
        progress: bool. Whether to show progress bars. Defaults to `True`.
        allow_outside: bool. Whether a corpus of captioned videos may refer to files
            outside of its folder. Defaults to `False`.
        caption_language: string. Language of the captions of a corpus whose videos have
            several. Defaults to `"en"`.
    """

    task: str = setting(REQUIRED, "evaluation task", TASKS)
    preset: str = setting(
        REQUIRED,
        "built-in preset, preset folder, or hf://owner/name; for classification, the "
        "preset of a fine-tuned classifier",
    )
    data: str = setting(
        REQUIRED,
        "folder of the dataset; for retrieval also a manifest or a folder of videos, "
        "as in `keras-vatt pretrain`",
        metavar="FOLDER",
    )
    dataset: str | None = setting(
        None,
        f"name of the dataset: {', '.join(labeled_datasets())} (train/<class>/* and "
        "test/<class>/*, of video, audio or images); not given for a manifest or a "
        "folder of captioned videos",
        metavar="NAME",
    )
    split: int | Literal["all"] = setting(
        1,
        "number of the official split, counted from 1 (for esc50 the held-out fold), "
        "or 'all' for the mean over the splits",
        least=1,
    )
    windows: int = setting(4, "windows per test clip; images have one", least=1)
    crops: int | None = setting(
        None,
        "crops per window of video, or per image; if not given, 3 for the "
        "classification of video, otherwise 1",
        least=1,
    )
    method: str = setting(
        "logistic_regression",
        "linear probe; 'vatt' is the bottleneck probe of the VATT authors",
        METHODS,
    )
    modality: str | None = setting(
        None, "modality to classify; that of the dataset if not given", MODALITIES
    )
    templates: tuple[str, ...] = setting(
        ("{}",),
        "for zero-shot: a text in which {} stands for the name of a class; can be "
        "repeated",
        option="--template",
        metavar="TEXT",
    )
    short_clips: str = short_clips_setting()
    batch_size: int = setting(32, "windows per batch", least=1)
    num_workers: int | None = num_workers_setting()
    limit: int | None = setting(
        None,
        "evaluate on only N clips, evenly spaced in the list; all if not given",
        least=1,
        metavar="N",
    )
    output: str | None = setting(
        None,
        "folder for the report, the features, and the list of skipped clips",
        metavar="FOLDER",
    )
    progress: bool = setting(True, "show progress bars")
    allow_outside: bool = allow_outside_setting(_CAPTIONED)
    caption_language: str = caption_language_setting(_CAPTIONED)

    @property
    def num_crops(self) -> int:
        """Number of crops per window of video, or per image.

        It is final once `modality` is given.
        """
        is_tested = self.task == "classification" and self.modality != "image"
        return self.crops or (3 if is_tested else 1)

    @property
    def num_windows(self) -> int:
        """Number of windows per test clip; it is final once `modality` is given."""
        return 1 if self.modality == "image" else self.windows

    def results_depend_on(self) -> dict:
        """Returns the settings that the results depend on, a dict of JSON types."""
        names = ["task", "preset", "modality", "limit", "short_clips"]
        names += ["dataset", "split"] if self.dataset else []
        names += ["method"] if self.task == "linear-probe" else []
        names += ["templates"] if self.task == "zero-shot" else []
        facts = {name: getattr(self, name) for name in names} | self._corpus_options()
        facts |= {"windows": self.num_windows, "crops": self.num_crops}
        return facts | {"data": os.path.abspath(self.data)}

    def _corpus_options(self):
        """Returns the options of a corpus that are not at their defaults.

        Defaults are left out, as in the folders of earlier versions.
        """
        if self.dataset is not None:
            return {}
        fields = {field.name: field for field in dataclasses.fields(self)}
        return {
            name: getattr(self, name)
            for name in ("allow_outside", "caption_language")
            if getattr(self, name) != fields[name].default
        }
