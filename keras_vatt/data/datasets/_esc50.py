"""ESC-50: environmental sounds (Piczak, ACM Multimedia 2015)."""

from keras_vatt.data._split_files import csv_rows, number, stem_of
from keras_vatt.data.datasets._dataset_folder import DatasetFolder, found_clips
from keras_vatt.data.datasets._labeled_dataset import LabeledDataset

LAYOUT = "audio/*.wav and meta/esc50.csv"


def read_esc50(folder, split):
    """Reads ESC-50 in the layout of its repository.

    `meta/esc50.csv` has the columns `filename`, `fold`, `target`, `category` and
    others. The classes are in the order of `target`.

    Args:
        folder: str or path.
        split: int. 1 to 5, the fold of the test part.

    Returns:
        `LabeledDataset`.
    """
    files = DatasetFolder(folder, LAYOUT)
    columns = ("filename", "fold", "target", "category")
    rows = list(csv_rows(files.split_file("esc50.csv"), columns))
    names = _class_names(rows)
    parts = {"train": [], "test": []}
    for where, row in rows:
        fold = number(row["fold"], where, "fold", int)
        stem, _ = stem_of(row["filename"], where)
        clip = files.clip(where, [stem], labels=[int(row["target"])])
        parts["test" if fold == split else "train"].append(clip)
    files.check_found()
    parts = {part: found_clips(clips) for part, clips in parts.items()}
    return LabeledDataset(
        "esc50", names, False, **parts, missing=files.missing, modality="audio"
    )


def _class_names(rows):
    names = {}
    for where, row in rows:
        target = number(row["target"], where, "target", int)
        if names.setdefault(target, row["category"]) != row["category"]:
            raise ValueError(
                f"{where}: target {target} is {names[target]}, not {row['category']}"
            )
    if sorted(names) != list(range(len(names))):
        raise ValueError(f"{rows[-1][0]}: some targets below {max(names)} are missing")
    return tuple(names[target] for target in sorted(names))
