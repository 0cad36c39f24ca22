"""Kinetics-400, -600 and -700: human actions (Kay et al., 2017, and after)."""

from keras_vatt.data._split_files import csv_rows, number, stem_of
from keras_vatt.data.datasets._dataset_folder import DatasetFolder, found_clips
from keras_vatt.data.datasets._labeled_dataset import LabeledDataset

LAYOUT = (
    "train.csv and val.csv (or validate.csv) with label,youtube_id,time_start,"
    "time_end,split, and videos as <split>/<label>/<id>_<000001>_<000011>.mp4 or "
    "without the folders"
)
_PARTS = {"train": ("train",), "test": ("val", "validate", "validation")}


def read_kinetics(name, folder):
    """Reads Kinetics in the layout of its downloaders.

    The validation videos are the test part, since not all versions have public labels
    of the test videos. The classes are those of the CSV files in alphabetical order,
    which is the official one. A file `<id>.mp4` may be the whole video, which is then
    cut to `time_start` and `time_end`.

    Args:
        name: str. `"kinetics400"`, `"kinetics600"` or `"kinetics700"`.
        folder: str or path.

    Returns:
        `LabeledDataset`.
    """
    files = DatasetFolder(folder, LAYOUT)
    rows = {part: _rows(files, name, words) for part, words in _PARTS.items()}
    if not any(rows.values()):
        raise files.nothing_found("train.csv or val.csv")
    names = tuple(sorted({row["label"] for part in rows.values() for _, row in part}))
    indices = {name: index for index, name in enumerate(names)}
    parts = {
        part: found_clips(
            _clip(files, where, row, indices) for where, row in rows[part]
        )
        for part in rows
    }
    files.check_found()
    return LabeledDataset(name, names, False, **parts, missing=files.missing)


def _rows(files, name, words):
    hyphenated = name.replace("kinetics", "kinetics-")
    prefixes = ("", f"{name}_", f"{hyphenated}_", "kinetics_")
    names = [f"{prefix}{word}.csv" for prefix in prefixes for word in words]
    path = files.split_file(*names, required=False)
    if path is None:
        return []
    columns = ("label", "youtube_id", "time_start", "time_end")
    return list(csv_rows(path, columns))


def _clip(files, where, row, indices):
    video, _ = row["youtube_id"], stem_of(row["youtube_id"], where)
    times = tuple(
        number(row[column], where, column) for column in ("time_start", "time_end")
    )
    if times[1] <= times[0]:
        raise ValueError(f"{where}: ends at {times[1]} s, before it starts")
    start, end = (int(time) for time in times)
    labels = [indices[row["label"]]]
    cut = f"{video}_{start:06d}_{end:06d}"
    if files.has_media(cut):
        return files.clip(where, [cut], labels=labels)
    return files.clip(where, [video, cut], times=times, labels=labels)
