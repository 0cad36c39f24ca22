"""Your own set: a folder for each class."""

import pathlib

from keras_vatt.data.labelled_sets.labelled_set import LabelledClip, LabelledSet
from keras_vatt.data.labelled_sets.set_folder import AUDIO_SUFFIXES, VIDEO_SUFFIXES
from keras_vatt.data.media_segment import MediaSegment

LAYOUT = "train/<class>/<any media file> and test/<class>/<any media file>"


def read_class_folders(folder, split=1):
    """Reads `train/<class>/*` and `test/<class>/*`, with classes in alphabetical order.

    One of the two may be absent. It is a set of sounds if it has no video file.

    Args:
        folder: string or path.
        split: int, 1.

    Returns:
        `LabelledSet`.
    """
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {str(folder)!r}.")
    paths = {part: _media_of(folder / part) for part in ("train", "test")}
    everything = [path for part in paths.values() for path in part]
    if not everything:
        raise FileNotFoundError(
            f"{str(folder)!r} has no media. Expected there: {LAYOUT}"
        )
    names = tuple(sorted({path.parent.name for path in everything}))
    parts = {
        part: [
            LabelledClip(MediaSegment(str(path)), (names.index(path.parent.name),))
            for path in paths[part]
        ]
        for part in paths
    }
    has_video = any(path.suffix.lower() in VIDEO_SUFFIXES for path in everything)
    modality = "video" if has_video else "audio"
    return LabelledSet("folders", names, False, **parts, modality=modality)


def _media_of(folder):
    suffixes = VIDEO_SUFFIXES | AUDIO_SUFFIXES
    return [
        path
        for path in sorted(folder.glob("*/*"))
        if path.suffix.lower() in suffixes and not path.name.startswith(".")
    ]
