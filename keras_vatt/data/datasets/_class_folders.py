"""A dataset of your own, with one folder per class."""

import pathlib

from keras_vatt.data._report import Finding, Problem
from keras_vatt.data.datasets._labeled_dataset import LabeledClip, LabeledDataset
from keras_vatt.data.decoding._media_segment import MediaSegment
from keras_vatt.data.decoding._media_suffixes import (
    AUDIO_SUFFIXES,
    IMAGE_SUFFIXES,
    VIDEO_SUFFIXES,
)

LAYOUT = "train/<class>/<any media file> and test/<class>/<any media file>"
_VISIBLE = "[!.]*/[!.]*"
# Files that decide the modality of a folder: a GIF counts as an image.
_KINDS = {
    "video": VIDEO_SUFFIXES - IMAGE_SUFFIXES,
    "audio": AUDIO_SUFFIXES,
    "image": IMAGE_SUFFIXES,
}
# Files that have a modality: videos may have audio.
_SOURCES = {
    "video": VIDEO_SUFFIXES,
    "audio": VIDEO_SUFFIXES | AUDIO_SUFFIXES,
    "image": IMAGE_SUFFIXES,
}


def read_class_folders(folder, split=1, modality=None):
    """Reads `train/<class>/*` and `test/<class>/*`, with classes in alphabetical order.

    One of the two may be missing. Files of another modality, and files that are not
    read, are listed in `missing` with the reason; hidden files are not listed.

    Args:
        folder: str or path.
        split: int. Must be 1.
        modality: str. `"video"`, `"audio"` or `"image"`. Defaults to `None`: video if
            there is a video file, else audio if there is an audio file, else images.

    Returns:
        `LabeledDataset`.

    Raises:
        FileNotFoundError: If there is no such folder, or no file of the modality in it.
    """
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {str(folder)!r}.")
    parts = ("train", "test")
    paths = {part: sorted((folder / part).glob(_VISIBLE)) for part in parts}
    everything = [path for part in paths.values() for path in part]
    modality = modality or _modality_of(everything)
    reasons = {path: _reason_to_ignore(path, modality) for path in everything}
    names = tuple(sorted({p.parent.name for p in everything if not reasons[p]}))
    if not names:
        raise FileNotFoundError(
            f"{str(folder)!r} has no {modality} files. Expected there: {LAYOUT}"
        )
    parts = {
        part: [_clip(path, names) for path in paths[part] if not reasons[path]]
        for part in paths
    }
    ignored = tuple(
        Finding(Problem.IGNORED, str(path), reason)
        for path, reason in reasons.items()
        if reason
    )
    return LabeledDataset(
        "folders", names, False, **parts, missing=ignored, modality=modality
    )


def _modality_of(paths):
    kinds = {_kind_of(path) for path in paths}
    return next((name for name in _KINDS if name in kinds), "video")


def _kind_of(path):
    suffix = path.suffix.lower()
    return next((name for name in _KINDS if suffix in _KINDS[name]), None)


def _reason_to_ignore(path, modality):
    """Returns why a file is not used, or `None` if it is used."""
    if path.is_dir():
        return "is a folder: files must be directly in the folder of their class"
    kind = _kind_of(path)
    if kind is None:
        return f"has an unsupported format ({path.suffix or 'without suffix'})"
    if path.suffix.lower() not in _SOURCES[modality]:
        return f"is {kind}, but {modality} is evaluated"
    return None


def _clip(path, names):
    return LabeledClip(MediaSegment(str(path)), (names.index(path.parent.name),))
