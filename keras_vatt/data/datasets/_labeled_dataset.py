"""A set of the field: its classes, its clips, what of it was not there."""

import dataclasses

from keras_vatt.data._report import Finding
from keras_vatt.data.decoding._media_segment import MediaSegment


@dataclasses.dataclass(frozen=True)
class LabeledClip:
    """A clip with what its set says of it.

    Args:
        segment: `keras_vatt.data.MediaSegment`, where it lies.
        labels: tuple of ints, its classes, which index `LabeledDataset.class_names`.
            Empty in sets that have captions alone. Defaults to `()`.
        caption: string. Defaults to `None`.
    """

    segment: MediaSegment
    labels: tuple[int, ...] = ()
    caption: str | None = None


@dataclasses.dataclass(frozen=True)
class LabeledDataset:
    """The clips of a set, as its authors split it.

    Args:
        name: string.
        class_names: tuple of strings in the official order; empty in sets that have
            captions alone.
        multi_label: bool, whether a clip may have several classes.
        train: list of `LabeledClip`.
        test: list of `LabeledClip`, those to be measured on. A clip with several
            captions is there once for each of them, one after the other.
        missing: tuple of `keras_vatt.data.Finding`, the clips of the split files
            whose media are not there, and the files that are ignored. Defaults to
            `()`.
        modality: string, `"video"`, `"audio"` or `"image"`: what its classes are of.
            Defaults to `"video"`.
    """

    name: str
    class_names: tuple[str, ...]
    multi_label: bool
    train: list[LabeledClip]
    test: list[LabeledClip]
    missing: tuple[Finding, ...] = ()
    modality: str = "video"
