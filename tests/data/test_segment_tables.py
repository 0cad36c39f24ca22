"""The labeled segments of AudioSet and of YouTube-8M are read from their tables."""

import pathlib

import pytest

from keras_vatt.data import Problem, read_corpus
from tests.data import _labeled_datasets as layouts
from tests.data._media import numbered_picture, write_media

pytestmark = pytest.mark.once

VOCABULARY = (
    "Index,TrainVideoCount,KnowledgeGraphId,Name,WikiUrl",
    "0,788288,/m/03bt1gh,Game,https://example.org/Game",
    '3,540000,/m/01jddz,"Concert, live",https://example.org/Concert',
)


def youtube8m(folder, *rows, name="segments.csv", media=()):
    layouts.write(folder, "vocabulary.csv", *VOCABULARY)
    layouts.write(folder, name, "Class,Segments", *rows)
    return layouts.touch(folder, *media)


def described(segments):
    return [
        (pathlib.Path(s.path).name, s.start, s.end, s.split, s.extra["labels"])
        for s in segments
    ]


def long_video(path):
    write_media(path, [numbered_picture(n) for n in range(20)], range(20), rate=1)


def test_the_segments_of_audioset_are_read_with_their_labels(tmp_path):
    layouts.audioset(tmp_path, "media/--4gqARaEJE_0_10.mp4", "Y--BfvyPmVMo_20.mkv")
    layouts.write(
        tmp_path,
        "unbalanced_train_segments.csv",
        '---1_cCGK4M, 0.000, 10.000, "/m/09x0r"',
        '--gone, 0.000, 10.000, "/m/09x0r"',
    )
    layouts.touch(tmp_path, "---1_cCGK4M_0.mp4", "Y0NGSrwioYjA.wav")
    segments, findings = read_corpus(tmp_path)
    male = "Male speech, man speaking"
    assert described(segments) == [
        ("---1_cCGK4M_0.mp4", None, None, "train", ["Speech"]),
        ("--4gqARaEJE_0_10.mp4", None, None, "test", [male, "Speech"]),
        ("Y--BfvyPmVMo_20.mkv", None, None, "test", ["Gargling"]),
    ]
    assert {segment.caption for segment in segments} == {""}
    reasons = [(f.problem, f.reason, f.split) for f in findings]
    assert reasons == [
        (Problem.IGNORED, "is audio without video (.wav)", None),
        (Problem.MISSING, "there is no video '--gone'", "train"),
        (Problem.MISSING, "there is no video 'Y0NGSrwioYjA'", "test"),
    ]


def test_the_segments_of_youtube_8m_are_read_with_their_labels(tmp_path):
    youtube8m(tmp_path, "0,ab-c:10 de_f:0.0 gone:5", "3,ab-c:10", name="train.csv")
    youtube8m(tmp_path, "3,de_f:15", name="labels/segment_validate_labels.csv")
    layouts.touch(tmp_path, "de_f_0.mp4", "de_f_15.mp4", "other.mp4", "more.mp4")
    long_video(tmp_path / "ab-c.mp4")
    segments, findings = read_corpus(tmp_path)
    both = ["Game", "Concert, live"]
    assert described(segments) == [
        ("de_f_15.mp4", None, None, "test", ["Concert, live"]),
        ("ab-c.mp4", 10.0, 15.0, "train", both),
        ("de_f_0.mp4", None, None, "train", ["Game"]),
    ]
    assert [f.problem for f in findings] == [Problem.MISSING, Problem.IGNORED]
    assert findings[0].where == f"{tmp_path / 'train.csv'}, line 2"
    assert findings[1].reason == "is in no table of segments (1 of 2 such videos)"


def test_a_row_of_a_class_may_be_long(tmp_path):
    text = " ".join(f"gone:{5 * n}" for n in range(30_000))
    youtube8m(tmp_path, f"0,ab:0 {text}", media=["ab_0.mp4"])
    segments, findings = read_corpus(tmp_path)
    assert len(segments) == 1
    assert len(findings) == 30_000


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("x,ab:0", "Class must be a number"),
        ("1,ab:0", "there is no class 1"),
        ("0,ab", "must be a path in the folder"),
        ("0,ab:soon", "a time must be a number"),
        ("0,ab:-5", "a time must be at least 0"),
        ("0,ab:inf", "a time must be at least 0"),
        ("0,../ab:0", "must be a path in the folder"),
        ("0,/ab:0", "must be a path in the folder"),
    ],
)
def test_a_malformed_segment_is_named_and_skipped(tmp_path, row, reason):
    youtube8m(tmp_path, "0,ab:0", row, media=["ab_0.mp4"])
    segments, (finding,) = read_corpus(tmp_path)
    assert len(segments) == 1
    assert finding.problem is Problem.MALFORMED
    assert finding.where.endswith("segments.csv, line 3")
    assert reason in finding.reason


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ('ab, 10, 5, "/m/09x0r"', "before it starts"),
        ('ab, x, 5, "/m/09x0r"', "must be a number"),
        ('ab, 0, 5, "/m/none"', "there is no class '/m/none'"),
        ('../ab, 0, 5, "/m/09x0r"', "must be a path in the folder"),
    ],
)
def test_a_malformed_row_of_audioset_is_named_and_skipped(tmp_path, row, reason):
    layouts.audioset(tmp_path)
    layouts.write(tmp_path, "balanced_train_segments.csv", row)
    _, findings = read_corpus(tmp_path)
    assert findings[0].problem is Problem.MALFORMED
    assert findings[0].where.endswith("balanced_train_segments.csv, line 1")
    assert reason in findings[0].reason


def test_a_damaged_file_that_may_be_a_whole_video_is_a_finding(tmp_path):
    youtube8m(tmp_path, "0,ab:0", media=["ab.mp4"])
    segments, (finding,) = read_corpus(tmp_path)
    assert segments == []
    assert finding.problem is Problem.CORRUPT


def test_other_tables_are_no_segments(tmp_path):
    layouts.write(tmp_path, "vocabulary.csv", *VOCABULARY)
    layouts.write(tmp_path, "clip.csv", "start,end,text", "1,2,words")
    layouts.write(tmp_path, "HowTo100M_v1.csv", "video_id,category_1", "clip,Food")
    layouts.touch(tmp_path, "clip.mp4")
    (segment,), findings = read_corpus(tmp_path)
    assert segment.caption == "words"
    assert findings == []


def test_tables_and_videos_of_a_store_are_read(any_store, tmp_path):
    youtube8m(tmp_path, "0,ab:10 cd:5", name="test.csv", media=["cd_5.mp4"])
    long_video(tmp_path / "ab.mp4")
    segments, findings = read_corpus(any_store.fill(tmp_path))
    assert described(segments) == [
        ("ab.mp4", 10.0, 15.0, "test", ["Game"]),
        ("cd_5.mp4", None, None, "test", ["Game"]),
    ]
    assert segments[0].path == f"{any_store.url}/ab.mp4"
    assert findings == []
