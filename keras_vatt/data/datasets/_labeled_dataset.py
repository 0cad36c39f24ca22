"""A labeled dataset: its classes, its clips, and what is missing."""

import dataclasses

from keras_vatt.data._report import Finding
from keras_vatt.data.decoding._media_segment import MediaSegment


@dataclasses.dataclass(frozen=True)
class LabeledClip:
    """A clip with its labels or its caption.

    Args:
        segment: `keras_vatt.data.MediaSegment`. File, and time within it.
        labels: Tuple of ints. Its classes, as indices into
            `LabeledDataset.class_names`; empty in datasets with captions only. Defaults
            to `()`.
        caption: str. Defaults to `None`.
    """

    segment: MediaSegment
    labels: tuple[int, ...] = ()
    caption: str | None = None


@dataclasses.dataclass(frozen=True)
class LabeledDataset:
    """The clips of a dataset in an official split.

    Args:
        name: str. Name of the dataset.
        class_names: Tuple of strings in the official order; empty in datasets with
            captions only.
        multi_label: bool. Whether a clip may have several classes.
        train: List of `LabeledClip`.
        test: List of `LabeledClip`, for evaluation. A clip with several captions is
            listed once per caption, in a row.
        missing: Tuple of `keras_vatt.data.Finding`: the clips of the split files whose
            media are missing, and the files that are ignored. Defaults to `()`.
        modality: str. `"video"`, `"audio"` or `"image"`: the modality of the classes.
            Defaults to `"video"`.
    """

    name: str
    class_names: tuple[str, ...]
    multi_label: bool
    train: list[LabeledClip]
    test: list[LabeledClip]
    missing: tuple[Finding, ...] = ()
    modality: str = "video"
