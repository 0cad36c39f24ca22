"""Moments in Time: events of three seconds (Monfort et al., TPAMI 2019)."""

from keras_vatt.data._split_files import (
    bare_csv_rows,
    index_of,
    number,
    stem_of,
)
from keras_vatt.data.datasets._dataset_folder import DatasetFolder, found_clips
from keras_vatt.data.datasets._labeled_dataset import LabeledDataset

LAYOUT = (
    "moments_categories.txt, trainingSet.csv, validationSet.csv and {training,"
    "validation}/<label>/<file>.mp4"
)
_LISTS = {"train": "trainingSet.csv", "test": "validationSet.csv"}


def read_moments_in_time(folder, split=1):
    """Reads Moments in Time in the layout of its archive; validation is the test part.

    `moments_categories.txt` has lines `label,index`; the CSV files, without a header,
    `file,label,...`, with or without the folder of the label before the file.

    Args:
        folder: str or path.
        split: int. Must be 1.

    Returns:
        `LabeledDataset`.
    """
    files = DatasetFolder(folder, LAYOUT)
    names = _class_names(files.split_file("moments_categories.txt"))
    indices = {name: index for index, name in enumerate(names)}
    parts = {
        part: found_clips(
            _clip(files, where, row, indices)
            for where, row in bare_csv_rows(files.split_file(name), 2)
        )
        for part, name in _LISTS.items()
    }
    files.check_found()
    return LabeledDataset(
        "moments_in_time", names, False, **parts, missing=files.missing
    )


def _class_names(path):
    names = []
    for where, row in bare_csv_rows(path, 2):
        if number(row[1], where, "the index", int) != len(names):
            raise ValueError(f"{where}: must be class {len(names)}")
        names.append(row[0])
    return tuple(names)


def _clip(files, where, row, indices):
    stem, _ = stem_of(row[0], where)
    index = index_of(row[1], indices, where)
    return files.clip(where, [stem], row[1], labels=[index])
