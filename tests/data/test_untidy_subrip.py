"""Untidy SubRip files are read, and large or hostile ones take linear time."""

import pytest

from keras_vatt.data import Cue, read_subtitles

pytestmark = pytest.mark.once

TIDY = """1
00:00:01,000 --> 00:00:02,500
chop the onion

2
00:00:03,000 --> 00:00:04,000
in 1984
they fried it
"""
CUES = [Cue(1.0, 2.5, "chop the onion"), Cue(3.0, 4.0, "in 1984 they fried it")]
UNTIDY = {
    "tidy": TIDY,
    "no index": TIDY.replace("1\n00", "00").replace("2\n00", "00"),
    "an index is missing": TIDY.replace("\n2\n", "\n"),
    "spaces around the index": TIDY.replace("\n2\n", "\n  2 \n"),
    "wrong index": TIDY.replace("\n2\n", "\n1\n"),
    "blank line below the index": TIDY.replace("\n2\n", "\n2\n\n"),
    "blank lines below all": TIDY.replace("\n", "\n\n"),
    "no blank lines": TIDY.replace("\n\n", "\n"),
    "dots": TIDY.replace(",", "."),
    "no hours": TIDY.replace("00:00:", "00:"),
    "short hours": TIDY.replace("00:00:", "0:0:"),
    "short milliseconds": TIDY.replace(",000", ",0").replace(",500", ",5"),
    "no milliseconds of zero": TIDY.replace(",000", ""),
    "spaces in times": TIDY.replace(",", " ,").replace(" -->", "-->"),
    "positions": TIDY.replace(",000\n", ",000 X1:1 X2:2 Y1:3 Y2:4\n"),
    "text before the first cue": "subtitles by nobody\n\n" + TIDY,
}


def read(folder, text, suffix=".srt", **options):
    path = folder / f"talk{suffix}"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_subtitles(path, **options)


@pytest.mark.parametrize("name", UNTIDY)
@pytest.mark.parametrize(
    ("newline", "encoding"),
    [("\n", "utf-8"), ("\r\n", "utf-8-sig"), ("\r", "utf-16")],
    ids=["unix", "windows", "mac"],
)
def test_untidy_subrip_is_read(tmp_path, name, newline, encoding):
    text = UNTIDY[name].replace("\n", newline).encode(encoding)
    assert read(tmp_path, text) == (CUES, 0)


@pytest.mark.parametrize("index", ["", "2\n"], ids=["no index", "index"])
def test_a_caption_that_is_a_number_is_no_index(tmp_path, index):
    text = f"00:00:01,000 --> 00:00:02,000\n1984\n\n{index}"
    text += "00:00:03,000 --> 00:00:04,000\nbig brother\n\n3\n"
    cues, left_out = read(tmp_path, text)
    assert [cue.caption for cue in cues] == ["1984", "big brother 3"]
    assert left_out == 0


def test_a_cue_whose_times_can_not_be_read_is_counted(tmp_path):
    text = TIDY.replace("00:00:03,000", "three")
    assert read(tmp_path, text) == (CUES[:1], 1)


@pytest.mark.parametrize("text", ["", "words", "one --> two\nwords"])
def test_text_without_times_is_no_subrip(tmp_path, text):
    with pytest.raises(ValueError, match="format of its suffix"):
        read(tmp_path, text)


def test_the_size_of_a_file_is_limited_before_it_is_read(tmp_path):
    with pytest.raises(ValueError, match="larger than the 100 bytes"):
        read(tmp_path, TIDY + " " * 100, max_bytes=100)
    assert read(tmp_path, TIDY, max_bytes=len(TIDY)) == (CUES, 0)


@pytest.mark.parametrize(
    "words",
    ["{\\" * 300_000, "&#" + "1" * 300_000, "<" * 300_000, "&" * 300_000],
    ids=["braces", "digits", "tags", "entities"],
)
def test_hostile_text_is_read_in_linear_time(tmp_path, words):
    for suffix, header in ((".srt", ""), (".vtt", "WEBVTT\n\n")):
        text = f"{header}00:00:01.000 --> 00:00:02.000\ngood {words}\n"
        cues, left_out = read(tmp_path, text, suffix)
        assert len(cues) == 1
        assert left_out == 0
