"""HMDB51: human motion (Kuehne et al., ICCV 2011)."""

from keras_vatt.data._split_files import stem_of, text_lines
from keras_vatt.data.datasets._dataset_folder import DatasetFolder, found_clips
from keras_vatt.data.datasets._labeled_dataset import LabeledDataset

LAYOUT = "<class>/<video>.avi and testTrainMulti_7030_splits/<class>_test_split<N>.txt"
# Flags of the split files; clips with flag 0 are in neither part.
_PARTS = {"0": None, "1": "train", "2": "test"}


def read_hmdb51(folder, split):
    """Reads HMDB51, as extracted from the official archives.

    There is one split file per class. Each line holds a file name and a flag: 1 for
    train, 2 for test, 0 for neither. The classes are in alphabetical order.

    Args:
        folder: str or path.
        split: int. Number of the official split: 1, 2 or 3.

    Returns:
        `LabeledDataset`.
    """
    files = DatasetFolder(folder, LAYOUT)
    suffix = f"_test_split{split}.txt"
    lists = files.split_files(suffix)
    if not lists:
        raise files.nothing_found(f"<class>{suffix}")
    names = tuple(path.name.removesuffix(suffix) for path in lists)
    parts = {"train": [], "test": []}
    for index, path in enumerate(lists):
        for where, line in text_lines(path):
            part, stem = _part_and_stem(line, where)
            if part is not None:
                clip = files.clip(where, [stem], names[index], labels=[index])
                parts[part].append(clip)
    files.check_found()
    parts = {part: found_clips(clips) for part, clips in parts.items()}
    return LabeledDataset("hmdb51", names, False, **parts, missing=files.missing)


def _part_and_stem(line, where):
    name, _, flag = line.rpartition(" ")
    if flag not in _PARTS or not name:
        raise ValueError(
            f"{where}: must be a file name and a flag of 0, 1 or 2: {line!r}"
        )
    return _PARTS[flag], stem_of(name.strip(), where)[0]
