"""AudioSet: audio events of web videos (Gemmeke et al., ICASSP 2017)."""

from keras_vatt.data.datasets._dataset_folder import DatasetFolder, found_clips
from keras_vatt.data.datasets._labeled_dataset import LabeledDataset
from keras_vatt.data.datasets._split_files import (
    bare_csv_rows,
    csv_rows,
    index_of,
    number,
    stem_of,
)

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
    names, indices = _classes(files.split_file("class_labels_indices.csv"))
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


def _classes(path):
    names, indices = [], {}
    for where, row in csv_rows(path, ("index", "mid", "display_name")):
        if number(row["index"], where, "index", int) != len(names):
            raise ValueError(f"{where}: must be class {len(names)}")
        indices[row["mid"]] = len(names)
        names.append(row["display_name"])
    return tuple(names), indices


def _clip(files, where, row, indices):
    video, _ = row[0], stem_of(row[0], where)
    times = tuple(number(cell, where, "a time") for cell in row[1:3])
    if times[1] <= times[0]:
        raise ValueError(f"{where}: ends at {times[1]} s, before it starts")
    labels = [index_of(mid, indices, where) for mid in row[3].split(",")]
    cut = [f"{prefix}{name}" for prefix in ("", "Y") for name in _timed(video, *times)]
    if any(map(files.has_media, cut)):
        return files.clip(where, cut, labels=labels)
    return files.clip(where, [video, f"Y{video}"], times=times, labels=labels)


def _timed(video, start, end):
    """Yields names of a cut file: `ID_30`, `ID_30.000_40.000`, `ID_30000_40000`, ..."""
    for form in ("{:.0f}", "{:.1f}", "{:.3f}", "{:06.0f}"):
        yield f"{video}_{form.format(start)}_{form.format(end)}"
        yield f"{video}_{form.format(start)}"
    yield f"{video}_{start * 1000:.0f}_{end * 1000:.0f}"
    yield f"{video}_{start * 1000:.0f}"
