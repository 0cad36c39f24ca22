"""Datasets of the Hugging Face `datasets` library are read as stored clips."""

import numpy as np
import pytest

from keras_vatt.data import (
    ClipSpec,
    MediaError,
    Problem,
    ShardError,
    StoredClips,
    open_records,
    prepare_shards,
)
from tests.data._corpus import tokenize

datasets = pytest.importorskip("datasets")

pytestmark = pytest.mark.once

SPEC = ClipSpec(num_frames=4, frame_size=16, sampling_rate=8_000)


@pytest.fixture
def rows(videos):
    """Columns of bytes, as uploaded datasets have them, and of captions."""
    names = ["train-a.mp4", "train-b.mp4", "mute.mp4"]
    files = [{"bytes": (videos / n).read_bytes(), "path": n} for n in names]
    return {"video": files, "caption": ["a  dog", "a cat", None]}


def save(folder, columns, features=None):
    made = datasets.Dataset.from_dict(columns, features=features)
    datasets.DatasetDict({"train": made, "validation": made.select([0])}).save_to_disk(
        folder
    )
    return folder


def clips_of(folder, split="train"):
    return StoredClips(open_records(folder).splits[split], SPEC, tokenize)


@pytest.mark.parametrize("typed", [False, True])
def test_columns_of_videos_and_captions_are_read(typed, rows, tmp_path):
    features = None
    if typed:
        features = datasets.Features(
            {"video": datasets.Video(decode=False), "caption": datasets.Value("string")}
        )
    folder = save(tmp_path / "data", rows, features)
    clips = clips_of(folder)
    assert [clips.decode(k).captions[:1] for k in range(3)] == [
        ["a dog"],
        ["a cat"],
        [],
    ]
    assert [float(element["audio_mask"]) for element in clips] == [1.0, 1.0, 0.0]
    records = open_records(folder).splits["train"]
    assert list(records.captions()) == ["a dog", "a cat", ""]
    assert len(clips_of(folder, "test")) == 1


def test_a_column_of_audio_takes_precedence(rows, tmp_path):
    sound = rows["video"][0]["bytes"]
    folder = save(tmp_path / "data", rows | {"audio": [sound, sound, sound]})
    assert [float(element["audio_mask"]) for element in clips_of(folder)] == [1, 1, 1]


def test_lists_of_captions_are_candidates(rows, tmp_path):
    folder = save(tmp_path / "data", rows | {"caption": [["a", "abc"], ["b"], []]})
    assert clips_of(folder)[0]["text"][:, 0].tolist() == [2, 4, 2, 4, 2]


def test_parquet_files_are_read(rows, tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    (tmp_path / "data").mkdir()
    datasets.Dataset.from_dict(rows).to_parquet(tmp_path / "data" / "train.parquet")
    assert clips_of(tmp_path / "data")[1]["video"].shape == SPEC.video_shape


def test_rows_without_a_video_or_with_a_broken_one_are_errors(rows, tmp_path):
    rows["video"][0] = {"bytes": b"noise", "path": "x.mp4"}
    rows["video"][1] = {"bytes": None, "path": None}
    clips = clips_of(save(tmp_path / "data", rows))
    for index, problem in enumerate([Problem.CORRUPT, Problem.NO_VIDEO]):
        with pytest.raises(MediaError, match=rf"\(train\), row {index}") as caught:
            clips[index]
        assert caught.value.problem is problem


def test_a_row_can_t_name_a_file_outside_of_the_dataset(rows, videos, tmp_path):
    secret = str(videos / "train-a.mp4")
    rows["video"][0] = {"bytes": None, "path": secret}
    clips = clips_of(save(tmp_path / "data", rows))
    with pytest.raises(MediaError, match="outside of the dataset"):
        clips[0]


def test_a_dataset_without_videos_is_refused(tmp_path):
    folder = save(tmp_path / "data", {"image": [b"x"], "text": ["x"]})
    with pytest.raises(ShardError, match="no column of videos, but image, text"):
        open_records(folder)


def test_a_dataset_is_prepared(rows, tmp_path):
    report = prepare_shards(
        save(tmp_path / "data", rows), tmp_path / "out", "tfrecord", 1, progress=False
    )
    assert report.used_by_split == {"train": 3, "test": 1}
    records = open_records(tmp_path / "out").splits["train"]
    assert [records.read(k).name for k in range(3)] == [
        "train-a.mp4",
        "train-b.mp4",
        "mute.mp4",
    ]
    assert len(records.read(0).media.images) == 79
    assert records.read(2).media.waveform is None
    assert np.isfinite(records.read(0).media.waveform).all()
