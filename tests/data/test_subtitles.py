"""Subtitle files of all kinds give captions with times."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_vatt.data import Cue, read_subtitles

pytestmark = pytest.mark.once

VTT = """WEBVTT - a talk

STYLE
::cue { color: red }

NOTE a remark

intro
00:01.500 --> 00:03.000 align:start position:0%
<v Ann>Chop the <b>onion</b> &amp;
fry <00:02.000><c>it</c>

00:00:04.000 --> 01:00:00.250
Wait an hour.
"""
SRT = """1
00:00:01,500 --> 00:00:03,000
{\\an8}Chop the <i>onion</i> &
fry it

2
00:00:04,000 --> 01:00:00,250
<font color="#ff0000">Wait an hour.</font>
"""
CUES = [Cue(1.5, 3.0, "Chop the onion & fry it"), Cue(4.0, 3600.25, "Wait an hour.")]


def read(folder, text, suffix=".vtt", encoding="utf-8"):
    path = folder / f"talk{suffix}"
    path.write_bytes(text.encode(encoding))
    return read_subtitles(path)


@pytest.mark.parametrize(("text", "suffix"), [(VTT, ".vtt"), (SRT, ".srt")])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_cues_are_read_without_markup(tmp_path, text, suffix, newline, encoding):
    text = text.replace("\n", newline)
    assert read(tmp_path, text, suffix, encoding) == (CUES, 0)


def test_letters_of_any_language_are_kept(tmp_path):
    text = "WEBVTT\n\n00:00.000 --> 00:01.000\nà la crème, 玉ねぎ\n"
    assert read(tmp_path, text)[0][0].caption == "à la crème, 玉ねぎ"


def test_the_suffix_may_be_in_capitals(tmp_path):
    assert read(tmp_path, SRT, ".SRT") == (CUES, 0)


def test_blank_lines_before_the_first_cue_are_ignored(tmp_path):
    assert read(tmp_path, "\n\n" + SRT, ".srt") == (CUES, 0)


def test_overlapping_cues_are_kept_and_ordered_by_start(tmp_path):
    text = (
        "WEBVTT\n\n00:05.000 --> 00:09.000\nsecond\n\n"
        "00:01.000 --> 00:06.000\nfirst\n\n00:05.500 --> 00:06.000\nthird\n"
    )
    cues, left_out = read(tmp_path, text)
    assert [cue.caption for cue in cues] == ["first", "second", "third"]
    assert left_out == 0


@pytest.mark.parametrize(
    "cue",
    [
        "00:04.000 --> 00:05.000\n",
        "00:04.000 --> 00:05.000\n<i> </i>\n",
        "00:06.000 --> 00:05.000\nbackwards\n",
        "00:05.000 --> 00:05.000\nno time at all\n",
        "00:99.000 --> 00:05.000\nno such second\n",
        "four --> five\nno time\n",
    ],
    ids=["no text", "only tags", "backwards", "instant", "no second", "words"],
)
def test_a_cue_without_words_or_valid_times_is_counted_and_skipped(tmp_path, cue):
    text = f"WEBVTT\n\n00:01.000 --> 00:02.000\ngood\n\n{cue}"
    assert read(tmp_path, text) == ([Cue(1.0, 2.0, "good")], 1)


@pytest.mark.parametrize(
    ("text", "suffix", "encoding"),
    [
        ("", ".vtt", "utf-8"),
        (SRT, ".vtt", "utf-8"),
        (VTT, ".srt", "utf-8"),
        ("WEBVTT\n\n00:01.000 --> 00:02.000\ncaf\u00e9", ".vtt", "latin-1"),
    ],
    ids=["empty", "SubRip as WebVTT", "WebVTT as SubRip", "not UTF-8"],
)
def test_a_file_of_another_format_is_refused(tmp_path, text, suffix, encoding):
    with pytest.raises(ValueError, match="format of its suffix|codec can't decode"):
        read(tmp_path, text, suffix, encoding)


LINES = st.sampled_from(
    [
        "WEBVTT",
        "1",
        "",
        "-->",
        "00:01.000 --> 00:02.000",
        "00:00:01,000 --> 00:00:02,000",
        "99999999999999999999:00:01,000 --> 00:00:02,000",
        "00:01.000 --> ",
        "NOTE",
        "STYLE",
        "REGION",
        "<b",
        "&#xffffffff;",
        "{\\",
        "\u2028",
        "\0",
        "words",
    ]
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    lines=st.lists(LINES | st.text(max_size=20), max_size=12),
    first=st.sampled_from(["WEBVTT\n\n", "1\n00:00:01,000 --> 00:00:02,000\n", ""]),
    suffix=st.sampled_from([".vtt", ".srt"]),
)
def test_no_text_breaks_the_reader(tmp_path_factory, lines, first, suffix):
    text = first + "\n".join(lines)
    path = tmp_path_factory.getbasetemp() / f"fuzz{suffix}"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        cues, left_out = read_subtitles(path)
    except ValueError:
        return
    assert left_out >= 0
    assert all(cue.end > cue.start >= 0 and cue.caption for cue in cues)
