"""Manifests and folders are read row by row; invalid rows are reported."""

import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_vatt.data import Problem, Segment, read_corpus, write_manifest

pytestmark = pytest.mark.once


@pytest.fixture
def folder(tmp_path):
    corpus = tmp_path / "corpus"
    (corpus / "b").mkdir(parents=True)
    for name in ("a.mp4", "b/c.mkv", "b/.hidden.mp4"):
        (corpus / name).write_bytes(b"not read here")
    (tmp_path / "outside.mp4").write_bytes(b"not read here")
    return corpus


def read(folder, text, suffix=".jsonl", **options):
    manifest = folder / f"rows{suffix}"
    manifest.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_corpus(manifest, **options)


def test_rows_of_json_become_segments(folder):
    rows = [
        {
            "path": "a.mp4",
            "start": 1,
            "end": 2.5,
            "caption": " a  word\n",
            "split": "x",
        },
        {"path": "b/c.mkv", "label": 7},
    ]
    text = "\ufeff" + "\r\n\r\n".join(json.dumps(row) for row in rows)
    segments, findings = read(folder, text)
    assert findings == []
    assert segments == [
        Segment(str(folder / "a.mp4"), 1.0, 2.5, "a word", "x"),
        Segment(str(folder / "b/c.mkv"), extra={"label": 7}),
    ]


def test_rows_of_csv_become_segments(folder):
    text = (
        "\ufeffpath,start,end,caption,split,label\r\n"
        'a.mp4,1,2.5,"a, ""b""\r\nc",train,7\r\nb/c.mkv,,,,,\r\n'
    )
    segments, findings = read(folder, text, ".csv")
    assert findings == []
    assert segments == [
        Segment(str(folder / "a.mp4"), 1.0, 2.5, 'a, "b" c', "train", {"label": "7"}),
        Segment(str(folder / "b/c.mkv"), extra={"label": ""}),
    ]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("{", "Expecting"),
        ("[1]", "not an object"),
        ("7", "not an object"),
        ("{}", "no `path`"),
        ('{"path": ""}', "no `path`"),
        ('{"path": 3}', "`path` is not text"),
        ('{"path": "a\\u0000.mp4"}', "null character"),
        ('{"path": "a.mp4", "caption": 3}', "`caption` is not text"),
        ('{"path": "a.mp4", "caption": "\\ud800"}', "not valid UTF-8"),
        ('{"path": "a.mp4", "start": "soon"}', "could not convert"),
        ('{"path": "a.mp4", "start": true}', "`start` is not a number"),
        ('{"path": "a.mp4", "start": [1]}', "`start` is not a number"),
        ('{"path": "a.mp4", "start": -1}', "`start` is not a time"),
        ('{"path": "a.mp4", "end": NaN}', "`end` is not a time"),
        ('{"path": "a.mp4", "end": Infinity}', "`end` is not a time"),
        ('{"path": "a.mp4", "end": 1' + "0" * 400 + "}", "too large"),
        ('{"path": "a.mp4", "start": 3, "end": 3}', "before it starts"),
        ('{"path": "a.mp4", "end": 0}', "before it starts"),
        ("[" * 100_000, "recursion"),
    ],
)
def test_a_malformed_row_is_named_and_skipped(folder, row, reason):
    good = '{"path": "a.mp4"}'
    segments, (finding,) = read(folder, f"{good}\n{row}\n{good}\n")
    assert [segment.path for segment in segments] == [str(folder / "a.mp4")] * 2
    assert finding.problem is Problem.MALFORMED
    assert finding.where.endswith("rows.jsonl, line 2")
    assert reason in finding.reason


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_text_of_another_encoding_is_malformed(folder, suffix):
    rows = {
        ".jsonl": b'{"path": "a.mp4", "caption": "caf\xe9"}\n{"path": "a.mp4"}\n',
        ".csv": b"path,caption\na.mp4,caf\xe9\na.mp4,\n",
    }
    segments, (finding,) = read(folder, rows[suffix], suffix)
    assert len(segments) == 1
    assert "`caption` is not valid UTF-8" in finding.reason


def test_a_row_with_too_many_cells_is_malformed(folder):
    segments, (finding,) = read(folder, "path,start\na.mp4,1,2\na.mp4,1\n", ".csv")
    assert len(segments) == 1
    assert finding.reason == "has more cells than the header"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("start,end\n1,2\n", "`path` column"),
        ("", "`path` column"),
        ('path,caption\na.mp4,"never closed\na.mp4,next\n', "unexpected end"),
    ],
)
def test_a_csv_file_without_rows_to_tell_apart_is_refused(folder, text, message):
    with pytest.raises(ValueError, match=message):
        read(folder, text, ".csv")


def test_a_missing_file_is_named_by_its_row(folder):
    segments, (finding,) = read(folder, '{"path": "a.mp4"}\n{"path": "no.mp4"}\n')
    assert len(segments) == 1
    assert finding.problem is Problem.MISSING
    assert finding.where.endswith("line 2")
    assert "no.mp4" in finding.reason


@pytest.mark.parametrize(
    "path", ["../outside.mp4", "b/../../outside.mp4", "/etc/passwd", "link.mp4"]
)
def test_a_path_that_leaves_the_folder_is_refused(folder, path):
    (folder / "link.mp4").symlink_to(folder.parent / "outside.mp4")
    text = json.dumps({"path": path})
    with pytest.raises(ValueError, match="line 1: .* leads outside the folder"):
        read(folder, text)
    segments, findings = read(folder, text, allow_outside=True)
    target = os.path.realpath(folder / path)
    assert [segment.path for segment in segments] == [target]
    assert findings == []


def test_a_path_through_the_parent_that_stays_inside_is_fine(folder):
    segments, _ = read(folder, '{"path": "b/../a.mp4"}')
    assert segments[0].path == str(folder / "a.mp4")


def test_a_folder_with_a_manifest_is_read_by_it(folder):
    (folder / "manifest.csv").write_text("path\nb/c.mkv\n")
    assert [s.path for s in read_corpus(folder)[0]] == [str(folder / "b/c.mkv")]
    (folder / "manifest.jsonl").write_text('{"path": "a.mp4"}\n')
    assert [s.path for s in read_corpus(folder)[0]] == [str(folder / "a.mp4")]


def test_a_folder_without_a_manifest_is_read_with_its_subtitles(folder):
    subtitles = (
        "WEBVTT\n\n00:01.000 --> 00:02.000\none\n\n00:03.000 --> 00:04.000\ntwo\n"
    )
    (folder / "b" / "c.vtt").write_text(subtitles)
    segments, findings = read_corpus(folder)
    assert findings == []
    assert segments == [
        Segment(str(folder / "a.mp4")),
        Segment(str(folder / "b/c.mkv"), 1.0, 2.0, "one"),
        Segment(str(folder / "b/c.mkv"), 3.0, 4.0, "two"),
    ]


def test_a_link_out_of_a_folder_is_not_followed(folder):
    (folder / "link.mp4").symlink_to(folder.parent / "outside.mp4")
    segments, (finding,) = read_corpus(folder)
    assert len(segments) == 2
    assert finding.problem is Problem.IGNORED
    assert finding.where == str(folder / "link.mp4")
    assert "`allow_outside=True` or `--allow-outside`" in finding.reason
    assert len(read_corpus(folder, allow_outside=True)[0]) == 3


def test_subtitles_that_can_not_be_read_leave_the_video_without_captions(folder):
    (folder / "a.srt").write_text("no subtitles")
    (folder / "b" / "c.vtt").write_text(
        "WEBVTT\n\nx --> y\n\n00:01.000 --> 00:02.000\nok"
    )
    segments, findings = read_corpus(folder)
    assert [segment.caption for segment in segments] == ["", "ok"]
    assert [finding.problem for finding in findings] == [Problem.MALFORMED] * 2
    assert findings[0].where.endswith("a.srt")
    assert findings[1].reason.startswith("1 cues")


def test_a_missing_or_other_file_is_refused(folder):
    with pytest.raises(FileNotFoundError, match="nothing"):
        read_corpus(folder / "nothing")
    (folder / "rows.txt").write_text("a.mp4")
    with pytest.raises(ValueError, match=r"must end in .jsonl or .csv"):
        read_corpus(folder / "rows.txt")


def test_a_written_manifest_is_read_again(folder):
    segments = [
        Segment(str(folder / "a.mp4"), 0.5, 1.25, "naïve ☃", "train", {"label": [1]}),
        Segment(str(folder / "b/c.mkv"), None, 3.0),
    ]
    write_manifest(folder / "manifest.jsonl", segments)
    assert read_corpus(folder) == (segments, [])
    first = json.loads((folder / "manifest.jsonl").read_text().splitlines()[0])
    assert first["path"] == "a.mp4"
    assert not list(folder.glob(".*.partial"))


def test_a_moved_corpus_is_still_read(folder, tmp_path):
    write_manifest(folder / "manifest.jsonl", [Segment(str(folder / "a.mp4"))])
    moved = folder.rename(tmp_path / "moved")
    assert read_corpus(moved)[0] == [Segment(str(moved / "a.mp4"))]


def test_a_manifest_is_written_as_json_lines_only(folder):
    with pytest.raises(ValueError, match=r"\.jsonl"):
        write_manifest(folder / "manifest.csv", [])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2),
    max_leaves=3,
)
ROWS = st.fixed_dictionaries(
    {},
    optional={
        "path": st.sampled_from(["a.mp4", "b/c.mkv", "no.mp4", "b"]) | JSON,
        "start": JSON,
        "end": JSON,
        "caption": JSON,
        "split": JSON,
        "other": JSON,
    },
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(rows=st.lists(ROWS.map(json.dumps) | st.text(max_size=30), max_size=5))
def test_no_json_breaks_the_reader(tmp_path_factory, rows):
    folder = tmp_path_factory.getbasetemp() / "fuzz"
    folder.mkdir(exist_ok=True)
    (folder / "a.mp4").touch()
    text = "\n".join(rows)
    manifest = folder / "manifest.jsonl"
    manifest.write_bytes(text.encode("utf-8", "surrogatepass"))
    segments, findings = read_corpus(manifest, allow_outside=True)
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    assert len(segments) + len(findings) == sum(bool(line.strip()) for line in lines)
    for segment in segments:
        assert segment.end is None or segment.end > (segment.start or 0.0) >= 0.0


@settings(max_examples=200, deadline=None, derandomize=True)
@given(text=st.text(alphabet=st.sampled_from('a.mp4,"\n\r\\1 \0é'), max_size=60))
def test_no_csv_breaks_the_reader(tmp_path_factory, text):
    manifest = tmp_path_factory.getbasetemp() / "fuzz.csv"
    manifest.write_bytes(f"path,start,caption\n{text}".encode())
    refusal = None
    try:
        read_corpus(manifest, allow_outside=True)
    except ValueError as error:
        refusal = str(error)
    assert refusal is None or "fuzz.csv, line" in refusal
