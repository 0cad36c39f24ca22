"""The settings of an evaluation."""

from __future__ import annotations

import dataclasses
import os

TASKS = ("retrieval", "zero-shot", "linear-probe", "classification")
METHODS = ("logistic_regression", "vatt", "svm")


@dataclasses.dataclass(frozen=True)
class EvaluationSettings:
    """The settings of `evaluate`.

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
    """

    task: str
    preset: str
    data: str
    dataset: str | None = None
    split: int | str = 1
    windows: int = 4
    crops: int | None = None
    method: str = "logistic_regression"
    modality: str | None = None
    templates: tuple[str, ...] = ("{}",)
    short_clips: str = "repeat"
    batch_size: int = 32
    num_workers: int | None = None
    limit: int | None = None
    output: str | None = None
    progress: bool = True

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
        facts = {name: getattr(self, name) for name in names}
        facts |= {"windows": self.num_windows, "crops": self.num_crops}
        return facts | {"data": os.path.abspath(self.data)}
