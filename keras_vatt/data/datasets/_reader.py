"""The sets by name."""

import dataclasses
import functools
from collections.abc import Callable

from keras_vatt.data.datasets._audioset import read_audioset
from keras_vatt.data.datasets._class_folders import read_class_folders
from keras_vatt.data.datasets._esc50 import read_esc50
from keras_vatt.data.datasets._hmdb51 import read_hmdb51
from keras_vatt.data.datasets._kinetics import read_kinetics
from keras_vatt.data.datasets._moments_in_time import read_moments_in_time
from keras_vatt.data.datasets._msrvtt import read_msrvtt, read_msrvtt1000
from keras_vatt.data.datasets._ucf101 import read_ucf101
from keras_vatt.data.datasets._youcook2 import read_youcook2


@dataclasses.dataclass(frozen=True)
class _Reader:
    read: Callable
    num_splits: int = 1


def _read_kinetics(folder, split, name):
    return read_kinetics(name, folder)


_READERS = {
    "ucf101": _Reader(read_ucf101, 3),
    "hmdb51": _Reader(read_hmdb51, 3),
    "esc50": _Reader(read_esc50, 5),
    "kinetics400": _Reader(functools.partial(_read_kinetics, name="kinetics400")),
    "kinetics600": _Reader(functools.partial(_read_kinetics, name="kinetics600")),
    "kinetics700": _Reader(functools.partial(_read_kinetics, name="kinetics700")),
    "moments_in_time": _Reader(read_moments_in_time),
    "audioset": _Reader(read_audioset),
    "youcook2": _Reader(read_youcook2),
    "msrvtt": _Reader(read_msrvtt),
    "msrvtt1000": _Reader(read_msrvtt1000),
    "folders": _Reader(read_class_folders),
}


def labeled_datasets():
    """Names of the sets that `read_labeled_dataset` reads.

    Returns:
        Dict from name to int, how many official splits it has.

    Example:
    ```python
    from keras_vatt.data.datasets import labeled_datasets

    labeled_datasets()["ucf101"]  # 3
    ```
    """
    return {name: reader.num_splits for name, reader in _READERS.items()}


def read_labeled_dataset(name, folder, split=None, modality=None):
    """Reads a set of the field from its official split files.

    The layouts are those that its archives and common downloaders leave; files are
    found by name wherever in the folder they are. Clips whose media are not there are
    left out of the parts and listed in `missing`. Nothing is decoded.

    Args:
        name: string, one of `labeled_datasets()`; `"folders"` is your own set, in
            `train/<class>/*` and `test/<class>/*`.
        folder: string or path.
        split: int, which of the official splits, from 1; for ESC-50 the fold that is
            tested on. Defaults to `None`, the first.
        modality: string, `"video"`, `"audio"` or `"image"`, what is to be classified.
            Only `"folders"` has images. Defaults to `None`, the dataset's own.

    Returns:
        `LabeledDataset`.

    Raises:
        ValueError: if there is no such set, split or modality, or a line of a split
            file can't be read: it names the file and the line.
        FileNotFoundError: if a split file, or all media, are not there: it says what
            layout is expected.

    Example:
    ```python
    import pathlib
    from keras_vatt.data.datasets import read_labeled_dataset

    pathlib.Path("recordings/test/dog").mkdir(parents=True)
    pathlib.Path("recordings/test/dog/bark.wav").touch()
    recordings = read_labeled_dataset("folders", "recordings")
    recordings.class_names  # ("dog",)
    recordings.test[0].labels  # (0,)
    ```
    """
    if name not in _READERS:
        raise ValueError(f"There is no set {name!r}. There are: {', '.join(_READERS)}")
    reader = _READERS[name]
    split = 1 if split is None else split
    if split not in range(1, reader.num_splits + 1):
        raise ValueError(
            f"{name} has {reader.num_splits} split(s), counted from 1. "
            f"Received: split={split}"
        )
    if name == "folders":
        return reader.read(folder, split, modality)
    if modality == "image":
        raise ValueError(f"{name} has no images: 'folders' reads folders of images.")
    return reader.read(folder, split)
