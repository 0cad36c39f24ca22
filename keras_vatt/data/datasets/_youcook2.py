"""YouCook2: cooking in captioned steps (Zhou et al., AAAI 2018)."""

import dataclasses

from keras_vatt.data._split_files import (
    checked_object,
    number,
    read_json,
    stem_of,
)
from keras_vatt.data.datasets._dataset_folder import DatasetFolder, found_clips
from keras_vatt.data.datasets._labeled_dataset import LabeledDataset

LAYOUT = (
    "youcookii_annotations_trainval.json and raw_videos/{training,validation}/"
    "<recipe>/<id>.* (or videos/<id>.*)"
)
_PARTS = {"training": "train", "validation": "test"}


def read_youcook2(folder, split=1):
    """Reads YouCook2: each annotated step of a video is a clip with its sentence.

    The annotations are `{"database": {ID: {"subset": "validation", "annotations":
    [{"segment": [90, 102], "sentence": ...}]}}}`, with times in seconds of the whole
    video. The steps of the validation videos are the test part, as in VATT.

    Args:
        folder: str or path.
        split: int. Must be 1.

    Returns:
        `LabeledDataset` without classes.
    """
    files = DatasetFolder(folder, LAYOUT)
    path = files.split_file("youcookii_annotations_trainval.json")
    parts = {"train": [], "test": []}
    for video, entry in read_json(path, "database")["database"].items():
        where = f"{path}, video {video!r}"
        checked_object(entry, ("subset", "annotations"), where)
        part = _PARTS.get(entry["subset"])
        if part is None:
            raise ValueError(f"{where}: there is no subset {entry['subset']!r}")
        stem_of(video, where)
        parts[part].extend(_steps(files, video, entry["annotations"], where))
    files.check_found()
    parts = {part: found_clips(clips) for part, clips in parts.items()}
    return LabeledDataset("youcook2", (), False, **parts, missing=files.missing)


def _steps(files, video, steps, where):
    for step in steps:
        checked_object(step, ("segment", "sentence"), where)
        start, end = _times(step["segment"], where)
        clip = files.clip(where, [video], caption=str(step["sentence"]).strip())
        if clip is not None:
            yield _bounded(clip, start, end)


def _bounded(clip, start, end):
    segment = dataclasses.replace(clip.segment, start=start, end=end)
    return dataclasses.replace(clip, segment=segment)


def _times(segment, where):
    if not isinstance(segment, list) or len(segment) != 2:
        raise ValueError(f"{where}: a segment must be [start, end]: {segment!r}")
    start, end = (number(time, where, "a segment") for time in segment)
    if end <= start:
        raise ValueError(f"{where}: a segment must end after its start: {segment!r}")
    return start, end
