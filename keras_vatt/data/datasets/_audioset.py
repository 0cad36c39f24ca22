"""AudioSet: audio events of web videos (Gemmeke et al., ICASSP 2017)."""

from keras_vatt.data._segment_tables import (
    AUDIOSET_CLASSES,
    audioset_classes,
    audioset_segment,
)
from keras_vatt.data._split_files import bare_csv_rows
from keras_vatt.data.datasets._dataset_folder import DatasetFolder, found_clips
from keras_vatt.data.datasets._labeled_dataset import LabeledDataset

LAYOUT = (
    "class_labels_indices.csv, eval_segments.csv, balanced_train_segments.csv, and "
    "media named <YTID>, Y<YTID>, <YTID>_<start> or <YTID>_<start>_<end> (seconds or "
    "milliseconds), of audio or of video, in any folder"
)
_SEGMENTS = {"train": "balanced_train_segments.csv", "test": "eval_segments.csv"}


def read_audioset(folder, split=1):
    """Reads AudioSet, whose official download has split files but no media.

    `eval_segments.csv` (test) and `balanced_train_segments.csv` (train) have lines
    `YTID, 30.000, 40.000, "/m/09x0r,/t/dd00088"`; `class_labels_indices.csv` the 527
    classes as `index,mid,display_name`. One of the split files may be missing. Media
    are found by the names that downloaders give: `<YTID>`, `<YTID>_<start>` and
    `<YTID>_<start>_<end>`, with or without a `Y` in front. A file whose name has no
    time may be the whole video, which is then cut to the segment.

    Args:
        folder: str or path.
        split: int. Must be 1.

    Returns:
        `LabeledDataset`, in which a clip may have several classes.
    """
    files = DatasetFolder(folder, LAYOUT)
    names, indices = audioset_classes(files.split_file(AUDIOSET_CLASSES))
    paths = {
        part: files.split_file(name, required=False) for part, name in _SEGMENTS.items()
    }
    if not any(paths.values()):
        raise files.nothing_found("eval_segments.csv or balanced_train_segments.csv")
    parts = {"train": [], "test": []}
    for part, path in paths.items():
        rows = bare_csv_rows(path, 4) if path else ()
        parts[part] = found_clips(
            _clip(files, where, row, indices) for where, row in rows
        )
    files.check_found()
    return LabeledDataset(
        "audioset", names, True, **parts, missing=files.missing, modality="audio"
    )


def _clip(files, where, row, indices):
    segment = audioset_segment(where, row, indices)
    names, labels = segment.cut_names, segment.labels
    if any(map(files.has_media, names)):
        return files.clip(where, names, labels=labels)
    times = segment.start, segment.end
    return files.clip(where, segment.whole_names, times=times, labels=labels)
