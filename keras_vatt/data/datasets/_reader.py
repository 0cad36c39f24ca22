"""Reads labeled datasets by name."""

import dataclasses
import functools
import os
from collections.abc import Callable

from keras_vatt.data.datasets._audioset import read_audioset
from keras_vatt.data.datasets._class_folders import read_class_folders
from keras_vatt.data.datasets._esc50 import read_esc50
from keras_vatt.data.datasets._hmdb51 import read_hmdb51
from keras_vatt.data.datasets._kinetics import read_kinetics
from keras_vatt.data.datasets._labeled_dataset import LabeledDataset
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


def labeled_datasets() -> dict[str, int]:
    """Returns the names of the datasets that `read_labeled_dataset` reads.

    Returns:
        Dict from the name of a dataset to the number of its official splits.

    Example:
    ```python
    from keras_vatt.data.datasets import labeled_datasets

    labeled_datasets()["ucf101"]  # 3
    ```
    """
    return {name: reader.num_splits for name, reader in _READERS.items()}


def read_labeled_dataset(
    name: str,
    folder: str | os.PathLike[str],
    split: int | None = None,
    modality: str | None = None,
) -> LabeledDataset:
    """Reads an established dataset from its official split files.

    The layouts are those of its archives and of common downloaders; files are found by
    name anywhere in the folder. Clips whose media are missing are skipped and listed in
    `missing`. Nothing is decoded.

    Args:
        name: str. One of `labeled_datasets()`; `"folders"` is a dataset of your own, in
            `train/<class>/*` and `test/<class>/*`.
        folder: str or path.
        split: int. Number of the official split, from 1; for ESC-50 the fold of the
            test part. Defaults to `None`, the first.
        modality: str. `"video"`, `"audio"` or `"image"`, the modality to classify. Only
            `"folders"` has images. Defaults to `None`, that of the dataset.

    Returns:
        `LabeledDataset`.

    Raises:
        ValueError: If there is no such dataset, split or modality, or if a line of a
            split file can't be read: the message names the file and the line.
        FileNotFoundError: If a split file, or all media, are missing: the message shows
            the expected layout.

    Example:
    ```python
    import pathlib
    from keras_vatt.data.datasets import read_labeled_dataset

    pathlib.Path("animals/test/dog").mkdir(parents=True)
    pathlib.Path("animals/test/dog/bark.wav").touch()
    animals = read_labeled_dataset("folders", "animals")
    animals.class_names  # ("dog",)
    animals.test[0].labels  # (0,)
    ```
    """
    if name not in _READERS:
        raise ValueError(
            f"`name` must be one of: {', '.join(_READERS)}. Received: {name!r}"
        )
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
        raise ValueError(f"{name} has no images: use 'folders' for folders of images.")
    return reader.read(folder, split)
