"""The error about a header shows it, with the column that was probably meant."""

import re

import pytest

from keras_vatt.data import Problem, read_corpus

pytestmark = pytest.mark.once


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"not read here")
    return tmp_path


def read(folder, text, suffix=".csv"):
    (folder / f"rows{suffix}").write_text(text)
    return read_corpus(folder / f"rows{suffix}")


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("video,start,end", "columns are `video`, `start`, `end`: rename `video` to"),
        ("start,filepath", "rename `filepath` to `path`"),
        ("Path,caption", "rename `Path` to `path`"),
        ("path;start;end", "separate them with commas instead of ';'"),
        ("path\tstart\tend", "separate them with commas instead of '\\t'"),
        ("a.mp4,1,2", "columns are `a.mp4`, `1`, `2`"),
        ("", "has no `path` column: the manifest is empty"),
    ],
)
def test_a_header_without_a_path_is_shown(folder, header, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        read(folder, f"{header}\n")


def test_spaces_around_the_names_of_columns_are_ignored(folder):
    segments, findings = read(folder, "path, start, end, caption\na.mp4, 1, 2, words\n")
    assert [(s.start, s.end, s.caption) for s in segments] == [(1.0, 2.0, "words")]
    assert findings == []


def test_a_column_that_is_not_read_because_of_its_name_is_reported(folder):
    segments, (finding,) = read(folder, "path,text,label\na.mp4,words,7\n")
    assert segments[0].caption == ""
    assert finding.problem is Problem.IGNORED
    assert "the column `text` is not read: rename it to `caption`" in finding.reason


def test_a_row_of_json_without_a_path_is_shown(folder):
    _, (finding,) = read(folder, '{"video": "a.mp4", "caption": "words"}\n', ".jsonl")
    assert finding.problem is Problem.MALFORMED
    assert "rename `video` to `path`" in finding.reason
