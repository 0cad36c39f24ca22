"""Established datasets are read from their official split files."""

import os
import pathlib

import numpy as np
import pytest

from keras_vatt.data.datasets import labeled_datasets, read_labeled_dataset
from tests.data import _labeled_datasets as layouts
from tests.data._media import clicks, write_media

pytestmark = pytest.mark.once

LAYOUTS = {
    "ucf101": layouts.ucf101,
    "hmdb51": layouts.hmdb51,
    "esc50": layouts.esc50,
    "youcook2": layouts.youcook2,
    "msrvtt": layouts.msrvtt,
    "kinetics400": layouts.kinetics,
    "moments_in_time": layouts.moments_in_time,
}


def names_and_labels(clips):
    return [(pathlib.Path(clip.segment.path).name, clip.labels) for clip in clips]


def test_ucf101_has_the_order_of_classind_and_three_splits(tmp_path):
    folder = layouts.ucf101(tmp_path)
    first = read_labeled_dataset("ucf101", folder)
    assert first.class_names == ("Zumba", "Archery")
    assert names_and_labels(first.test) == [
        ("v_Archery_g01_c01.avi", (1,)),
        ("v_Zumba_g01_c01.avi", (0,)),
    ]
    assert names_and_labels(first.train) == [
        ("v_Zumba_g02_c01.avi", (0,)),
        ("v_Archery_g02_c01.avi", (1,)),
    ]
    third = read_labeled_dataset("ucf101", folder, split=3)
    assert third.test == first.train[::-1]
    assert not first.multi_label
    assert first.modality == "video"


def test_hmdb51_takes_flags_and_keeps_classes_with_files_of_one_name_apart(tmp_path):
    read = read_labeled_dataset("hmdb51", layouts.hmdb51(tmp_path))
    assert read.class_names == ("brush_hair", "wave")
    assert names_and_labels(read.train) == [
        ("same #1 [brush_hair].avi", (0,)),
        ("same #1 [wave].avi", (1,)),
    ]
    folders = [pathlib.Path(clip.segment.path).parent.name for clip in read.test]
    assert folders == ["brush_hair", "wave"]
    assert read.missing == ()


@pytest.mark.parametrize("fold", [1, 5])
def test_esc50_tests_on_one_fold(tmp_path, fold):
    read = read_labeled_dataset("esc50", layouts.esc50(tmp_path), split=fold)
    assert read.class_names == ("zebra", "cat")
    assert names_and_labels(read.test) == [
        (f"{fold}-1-A-1.wav", (1,)),
        (f"{fold}-1-A-0.wav", (0,)),
    ]
    assert len(read.train) == 8
    assert read.modality == "audio"


def test_youcook2_has_one_clip_per_step_and_names_missing_videos(tmp_path):
    read = read_labeled_dataset("youcook2", layouts.youcook2(tmp_path))
    segments = [clip.segment for clip in read.test]
    assert [(s.start, s.end) for s in segments] == [(2.0, 4.5), (5.0, 9.0)]
    assert {pathlib.Path(s.path).name for s in segments} == {"9GX8f5EwwE4.mkv"}
    assert [clip.caption for clip in read.test] == ["cut the onion", "fry it"]
    assert len(read.train) == 1
    assert len(read.missing) == 1
    assert "gone_______" in read.missing[0].where


@pytest.mark.parametrize("in_one_file", [False, True])
def test_msrvtt_has_all_captions_of_each_test_video(tmp_path, in_one_file):
    read = read_labeled_dataset("msrvtt", layouts.msrvtt(tmp_path, in_one_file))
    captions = [clip.caption for clip in read.test]
    assert captions == [
        "video2 first",
        "video2 second",
        "video3 first",
        "video3 second",
    ]
    assert len(read.train) == 4
    assert read.test[0].segment.start is None


def test_msrvtt1000_tests_on_the_listed_videos_and_trains_on_all_others(tmp_path):
    folder = layouts.msrvtt(tmp_path)
    lines = ["key,vid_key,video_id,sentence", 'ret0,msr3,video3,"one, then another"']
    layouts.write(folder, "MSRVTT_JSFUSION_test.csv", *lines)
    read = read_labeled_dataset("msrvtt1000", folder)
    assert [clip.caption for clip in read.test] == ["one, then another"]
    trained = {pathlib.Path(clip.segment.path).stem for clip in read.train}
    assert trained == {"video0", "video1", "video2"}


def test_kinetics_finds_cut_clips_in_class_folders_and_without(tmp_path):
    read = read_labeled_dataset("kinetics400", layouts.kinetics(tmp_path))
    assert read.class_names == ("abseiling", "yoga")
    assert names_and_labels(read.train) == [
        ("---QUuC4vJs_000084_000094.mp4", (1,)),
        ("-3B32lodo2M_000059_000069.mp4", (0,)),
    ]
    assert names_and_labels(read.test) == [("0wR5jVB-WPk_000417_000427.mp4", (1,))]
    assert read.test[0].segment.start is None


@pytest.mark.parametrize(
    "media",
    [
        ["eval/--4gqARaEJE.wav", "eval/--BfvyPmVMo.wav", "eval/Y0NGSrwioYjA.wav"],
        ["Y--4gqARaEJE.wav", "Y--BfvyPmVMo.wav", "YY0NGSrwioYjA.wav"],
        ["--4gqARaEJE_0.flac", "--BfvyPmVMo_20.flac", "Y0NGSrwioYjA_30500.flac"],
        [
            "--4gqARaEJE_0_10.mp4",
            "a/--BfvyPmVMo_20000_30000.mp4",
            "Y0NGSrwioYjA_30.500_40.500.mp4",
        ],
        [
            "Y--4gqARaEJE_000000_000010.mp3",
            "--BfvyPmVMo_20.000.mp3",
            "YY0NGSrwioYjA_30.5_40.5.mp3",
        ],
    ],
)
def test_audioset_finds_media_under_the_names_of_downloaders(tmp_path, media):
    read = read_labeled_dataset("audioset", layouts.audioset(tmp_path, *media))
    assert read.multi_label
    assert read.class_names[1] == "Male speech, man speaking"
    expected = [(1, 0), (2,), (0,)]
    assert names_and_labels(read.test) == [
        (pathlib.Path(name).name, labels)
        for name, labels in zip(media, expected, strict=True)
    ]
    assert read.train == []


def test_a_whole_audioset_file_is_cut_to_its_segment(tmp_path):
    folder = layouts.audioset(tmp_path, "--4gqARaEJE.wav")
    sound = (clicks([1.0], 35.0, 8_000), 8_000)
    write_media(folder / "--BfvyPmVMo.wav", sound=sound, audio_codec="pcm_s16le")
    sound = (clicks([1.0], 10.0, 8_000), 8_000)
    write_media(folder / "Y0NGSrwioYjA.wav", sound=sound, audio_codec="pcm_s16le")
    segments = [clip.segment for clip in read_labeled_dataset("audioset", folder).test]
    bounds = [(segment.start, segment.end) for segment in segments]
    assert bounds == [(None, None), (20.0, 30.0), (None, None)]


def test_moments_in_time_has_the_order_of_its_categories(tmp_path):
    read = read_labeled_dataset("moments_in_time", layouts.moments_in_time(tmp_path))
    assert read.class_names == ("yawning", "aiming")
    assert names_and_labels(read.train) == [("yt-1_2.mp4", (1,))]
    assert names_and_labels(read.test) == [("yt-3_4.mp4", (0,))]


def test_class_folders_are_a_dataset(tmp_path):
    layouts.touch(tmp_path, "train/b/1.wav", "train/a/2.flac", "test/b/3.wav")
    layouts.touch(tmp_path, "train/a/notes.txt", "train/.cache/.4.wav.part")
    read = read_labeled_dataset("folders", tmp_path)
    assert [pathlib.Path(f.where).name for f in read.missing] == ["notes.txt"]
    assert read.class_names == ("a", "b")
    assert names_and_labels(read.train) == [("2.flac", (0,)), ("1.wav", (1,))]
    assert names_and_labels(read.test) == [("3.wav", (1,))]
    assert read.modality == "audio"


@pytest.mark.parametrize(
    ("suffixes", "modality"),
    [
        (("gif", "png", "webp"), "image"),
        (("png", "wav"), "audio"),
        (("jpg", "wav", "mp4"), "video"),
    ],
    ids=["images alone", "audio with covers", "video with its audio and stills"],
)
def test_class_folders_have_the_modality_of_their_files(tmp_path, suffixes, modality):
    layouts.touch(tmp_path, *(f"test/a/1.{suffix}" for suffix in suffixes))
    read = read_labeled_dataset("folders", tmp_path)
    assert read.modality == modality
    unused = len(suffixes) - len(read.test)
    assert len(read.missing) == unused
    as_images = read_labeled_dataset("folders", tmp_path, modality="image")
    assert [pathlib.Path(c.segment.path).suffix for c in as_images.test] == [
        f".{suffix}" for suffix in suffixes if suffix not in ("wav", "mp4")
    ]


@pytest.mark.parametrize("name", LAYOUTS)
def test_absent_media_are_listed_and_all_absent_are_an_error(tmp_path, name):
    folder = LAYOUTS[name](tmp_path)
    whole = read_labeled_dataset(name, folder)
    count = len({clip.segment.path for clip in whole.train + whole.test})
    path = whole.test[0].segment.path
    os.unlink(path)
    read = read_labeled_dataset(name, folder)
    assert len(read.missing) == len(whole.missing) + 1
    named = [finding.reason.split("'")[1] for finding in read.missing]
    assert any(name in pathlib.Path(path).stem for name in named)
    assert len({clip.segment.path for clip in read.train + read.test}) == count - 1
    for clip in read.train + read.test:
        pathlib.Path(clip.segment.path).unlink(missing_ok=True)
    with pytest.raises(FileNotFoundError, match="Expected there: "):
        read_labeled_dataset(name, folder)


@pytest.mark.parametrize("name", labeled_datasets())
def test_the_error_about_an_empty_folder_has_the_expected_layout(tmp_path, name):
    with pytest.raises(FileNotFoundError, match=r"(?s)has no .*Expected there: "):
        read_labeled_dataset(name, tmp_path)
    with pytest.raises(FileNotFoundError, match="no folder"):
        read_labeled_dataset(name, tmp_path / "gone")


MALFORMED = {
    "classInd.txt, line 1: ": ("ucf101", "classInd.txt", "Zumba 1"),
    "trainlist01.txt, line 1: there is no class": (
        "ucf101",
        "trainlist01.txt",
        "Yoga/v.avi 1",
    ),
    "Archery is class 2, not 1": ("ucf101", "trainlist01.txt", "Archery/v.avi 1"),
    "wave_test_split1.txt, line 1: ": ("hmdb51", "wave_test_split1.txt", "a.avi 3"),
    "esc50.csv, line 1: the header has no column fold": (
        "esc50",
        "esc50.csv",
        "filename,target,category",
    ),
    "train.csv, line 2: time_start must be a number": (
        "kinetics400",
        "train.csv",
        "label,youtube_id,time_start,time_end\nyoga,x,soon,9",
    ),
    "train.csv, line 2: has 3 cells, the header has 4": (
        "kinetics400",
        "train.csv",
        "label,youtube_id,time_start,time_end\nyoga,x,1",
    ),
    "moments_categories.txt, line 1: must be class 0": (
        "moments_in_time",
        "moments_categories.txt",
        "yawning,1",
    ),
    "trainval.json: must be JSON": (
        "youcook2",
        "youcookii_annotations_trainval.json",
        "{",
    ),
    "video 'x': a segment must end after its start": (
        "youcook2",
        "youcookii_annotations_trainval.json",
        '{"database": {"x": {"subset": "training", "annotations": '
        '[{"segment": [3, 2], "sentence": ""}]}}}',
    ),
    "there is no split 'tset'": (
        "msrvtt",
        "test_videodatainfo.json",
        '{"videos": [{"video_id": "v", "split": "tset"}], "sentences": []}',
    ),
}


@pytest.mark.parametrize("message", MALFORMED)
def test_a_malformed_line_is_named(tmp_path, message):
    name, file, text = MALFORMED[message]
    folder = LAYOUTS[name](tmp_path)
    next(folder.rglob(file)).write_text(text + "\n")
    with pytest.raises(ValueError, match=".") as caught:
        read_labeled_dataset(name, folder)
    assert message in str(caught.value)


UNSAFE = {
    "ucf101": ("trainlist01.txt", "Zumba/../../secret.avi 1"),
    "hmdb51": ("wave_test_split1.txt", "/etc/secret.avi 1"),
    "esc50": (
        "esc50.csv",
        "filename,fold,target,category\n../../secret.wav,1,0,zebra",
    ),
    "youcook2": (
        "youcookii_annotations_trainval.json",
        '{"database": {"../x": {"subset": "training", "annotations": []}}}',
    ),
    "kinetics400": (
        "train.csv",
        "label,youtube_id,time_start,time_end\nyoga,../../x,1,2",
    ),
    "moments_in_time": ("trainingSet.csv", "/etc/secret.mp4,aiming,1,1"),
    "msrvtt": (
        "test_videodatainfo.json",
        '{"videos": [{"video_id": "../v", "split": "test"}], "sentences": []}',
    ),
}


@pytest.mark.parametrize("name", UNSAFE)
def test_split_files_lead_nowhere_else(tmp_path, name):
    folder = LAYOUTS[name](tmp_path / "set")
    layouts.touch(tmp_path, "secret.avi", "x.mp4", "v.mp4")
    file, text = UNSAFE[name]
    next(folder.rglob(file)).write_text(text + "\n")
    with pytest.raises(ValueError, match="must be a path in the folder"):
        read_labeled_dataset(name, folder)


def test_two_datasets_in_one_folder_are_refused(tmp_path):
    layouts.kinetics(tmp_path / "k400")
    layouts.kinetics(tmp_path / "k600")
    with pytest.raises(ValueError, match="have the same name"):
        read_labeled_dataset("kinetics400", tmp_path)


def test_media_behind_a_link_are_found_and_a_link_in_a_circle_ends(tmp_path):
    folder = layouts.ucf101(tmp_path / "set")
    (folder / "UCF-101").rename(tmp_path / "elsewhere")
    (folder / "videos").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "again").symlink_to(tmp_path / "elsewhere")
    assert len(read_labeled_dataset("ucf101", folder).test) == 2


def test_unknown_names_and_splits_are_refused(tmp_path):
    with pytest.raises(ValueError, match="must be one of: ucf101, hmdb51"):
        read_labeled_dataset("ucf100", tmp_path)
    with pytest.raises(ValueError, match="3 split"):
        read_labeled_dataset("ucf101", tmp_path, split=4)


def test_class_indices_fit_the_names(tmp_path):
    for name, layout in LAYOUTS.items():
        read = read_labeled_dataset(name, layout(tmp_path / name))
        labels = [label for clip in read.train + read.test for label in clip.labels]
        assert np.all(np.array(labels, int) < max(len(read.class_names), 1))
