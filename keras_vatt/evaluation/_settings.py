"""What an evaluation is told."""

import dataclasses
import os

TASKS = ("retrieval", "zero-shot", "linear-probe", "classification")
METHODS = ("logistic_regression", "vatt", "svm")


@dataclasses.dataclass(frozen=True)
class EvaluationSettings:
    """The settings of an evaluation.

    Crops and windows are final once `modality` is given.

    Args:
        task: string, one of `TASKS`.
        preset: string, the model: a built-in preset, a folder, or `hf://owner/name`.
        data: string, the folder of the set; for retrieval also a manifest or a folder
            of videos as `keras_vatt.data.read_corpus` reads it.
        dataset: string, a name of `keras_vatt.data.datasets.labeled_datasets`.
            Defaults to `None`, a corpus of captioned videos.
        split: int, or `"all"` for the mean over the splits. Defaults to `1`.
        windows: int, windows of a test clip; an image is one. Defaults to `4`.
        crops: int, crops of a window of video, or of an image. Defaults to `None`: 3 of
            video in classification, as VATT does, else 1.
        method: string, the probe. Defaults to `"logistic_regression"`.
        modality: string, `"video"`, `"audio"` or `"image"`. Defaults to `None`, that of
            the dataset.
        templates: tuple of strings with `{}` where the name of a class goes, for
            zero-shot classification. Defaults to `("{}",)`.
        short_clips: string, the rule for clips that are shorter than the model's:
            `"repeat"`, `"pad"` or `"error"`, which leaves them out. Defaults to
            `"repeat"`.
        batch_size: int, windows that run at a time. Defaults to `32`.
        num_workers: int. Number of threads that decode clips. Defaults to `None`, the
            number of processors.
        limit: int, evaluate on so many clips, evenly spread over the set (and train a
            probe on so many). Defaults to `None`, all.
        output: string, the folder of the report. Defaults to `None`, none.
        progress: bool. Whether to show bars. Defaults to `True`.
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
    def num_crops(self):
        """Crops of a window of video, an int."""
        is_tested = self.task == "classification" and self.modality != "image"
        return self.crops or (3 if is_tested else 1)

    @property
    def num_windows(self):
        """Windows of a test clip, an int."""
        return 1 if self.modality == "image" else self.windows

    def results_depend_on(self):
        """The settings that features and results depend on, a dict of JSON types."""
        names = ["task", "preset", "modality", "limit", "short_clips"]
        names += ["dataset", "split"] if self.dataset else []
        names += ["method"] if self.task == "linear-probe" else []
        names += ["templates"] if self.task == "zero-shot" else []
        facts = {name: getattr(self, name) for name in names}
        facts |= {"windows": self.num_windows, "crops": self.num_crops}
        return facts | {"data": os.path.abspath(self.data)}
