"""MSR-VTT: captioned web videos (Xu et al., CVPR 2016)."""

import collections

from keras_vatt.data._split_files import (
    checked_object,
    csv_rows,
    read_json,
    stem_of,
)
from keras_vatt.data.datasets._dataset_folder import DatasetFolder, found_clips
from keras_vatt.data.datasets._labeled_dataset import LabeledDataset

LAYOUT = (
    "train_val_videodatainfo.json and test_videodatainfo.json, or MSRVTT_data.json; "
    "for the 1k-A split MSRVTT_JSFUSION_test.csv; and videos as TrainValVideo/"
    "video*.mp4 and TestVideo/video*.mp4, or videos/all/video*.mp4"
)
_INFO_FILES = (
    ("MSRVTT_data.json",),
    ("train_val_videodatainfo.json", "test_videodatainfo.json"),
)
_PARTS = {"train": "train", "validate": "train", "test": "test"}


def read_msrvtt(folder, split=1):
    """Reads MSR-VTT in full: 2,990 test videos, each with 20 captions.

    The JSON files are `{"videos": [{"video_id": "video0", "split": "train"}],
    "sentences": [{"video_id": "video0", "caption": ...}]}`. Validation videos count
    as train. The media are already cut.

    Args:
        folder: str or path.
        split: int. Must be 1.

    Returns:
        `LabeledDataset` without classes, with one clip per caption.
    """
    files = DatasetFolder(folder, LAYOUT)
    parts = {"train": [], "test": []}
    for path, video, part, captions in _videos(files, required=True):
        parts[part].extend(_clips(files, path, video, captions))
    return _labeled_dataset("msrvtt", files, parts)


def read_msrvtt1000(folder, split=1):
    """Reads the 1k-A split: 1,000 test videos, each with one caption.

    It is the split of Yu et al. (ECCV 2018) in `MSRVTT_JSFUSION_test.csv`, with the
    columns `video_id` and `sentence`. All other videos of the JSON files, if these are
    available, are the train part (known as 9k).

    Args:
        folder: str or path.
        split: int. Must be 1.

    Returns:
        `LabeledDataset` without classes.
    """
    files = DatasetFolder(folder, LAYOUT)
    rows = csv_rows(
        files.split_file("MSRVTT_JSFUSION_test.csv"), ("video_id", "sentence")
    )
    parts = {"train": [], "test": []}
    tested = set()
    for where, row in rows:
        stem_of(row["video_id"], where)
        tested.add(row["video_id"])
        parts["test"].append(
            files.clip(where, [row["video_id"]], caption=row["sentence"])
        )
    for path, video, _, captions in _videos(files, required=False):
        if video not in tested:
            parts["train"].extend(_clips(files, path, video, captions))
    return _labeled_dataset("msrvtt1000", files, parts)


def _labeled_dataset(name, files, parts):
    files.check_found()
    parts = {part: found_clips(clips) for part, clips in parts.items()}
    return LabeledDataset(name, (), False, **parts, missing=files.missing)


def _videos(files, required):
    """Yields the file, the id, the part and the captions of each video."""
    for path in _info_files(files, required):
        info = read_json(path, "videos", "sentences")
        captions = collections.defaultdict(list)
        for sentence in info["sentences"]:
            checked_object(sentence, ("video_id", "caption"), f"{path}, a sentence")
            captions[sentence["video_id"]].append(str(sentence["caption"]).strip())
        for video in info["videos"]:
            checked_object(video, ("video_id", "split"), f"{path}, a video")
            where = f"{path}, video {video['video_id']!r}"
            part = _PARTS.get(video["split"])
            if part is None:
                raise ValueError(f"{where}: there is no split {video['split']!r}")
            stem_of(video["video_id"], where)
            yield path, video["video_id"], part, captions[video["video_id"]]


def _info_files(files, required):
    for names in _INFO_FILES:
        paths = [files.split_file(name, required=False) for name in names]
        if any(paths):
            return [path for path in paths if path is not None]
    if required:
        raise files.nothing_found("MSRVTT_data.json or test_videodatainfo.json")
    return []


def _clips(files, path, video, captions):
    where = f"{path}, video {video!r}"
    return [files.clip(where, [video], caption=caption) for caption in captions]
