"""UCF101: human actions (Soomro et al., 2012)."""

from keras_vatt.data._split_files import index_of, number, stem_of, text_lines
from keras_vatt.data.datasets._dataset_folder import DatasetFolder, found_clips
from keras_vatt.data.datasets._labeled_dataset import LabeledDataset

LAYOUT = (
    "UCF-101/<Class>/v_*.avi and ucfTrainTestlist/ with classInd.txt, trainlist0N.txt "
    "and testlist0N.txt"
)


def read_ucf101(folder, split):
    """Reads UCF101 in the layout of its archives.

    `classInd.txt` has `1 ApplyEyeMakeup`, `trainlist01.txt`
    `ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1`, `testlist01.txt` the same without
    the number.

    Args:
        folder: str or path.
        split: int. 1 to 3.

    Returns:
        `LabeledDataset`.
    """
    files = DatasetFolder(folder, LAYOUT)
    names = _class_names(files.split_file("classInd.txt"))
    indices = {name: index for index, name in enumerate(names)}
    parts = {
        part: found_clips(
            _clip(files, line, where, indices)
            for where, line in text_lines(files.split_file(f"{part}list0{split}.txt"))
        )
        for part in ("train", "test")
    }
    files.check_found()
    return LabeledDataset("ucf101", names, False, **parts, missing=files.missing)


def _class_names(path):
    names = []
    for where, line in text_lines(path):
        given, _, name = line.partition(" ")
        if number(given, where, "the class", int) != len(names) + 1 or not name:
            raise ValueError(
                f"{where}: must be the number {len(names) + 1} and a class"
            )
        names.append(name.strip())
    return tuple(names)


def _clip(files, line, where, indices):
    name, _, given = line.partition(" ")
    stem, class_name = stem_of(name, where)
    index = index_of(class_name, indices, where)
    if given.strip() and number(given, where, "the class", int) != index + 1:
        raise ValueError(f"{where}: {class_name} is class {index + 1}, not {given}")
    return files.clip(where, [stem], labels=[index])
