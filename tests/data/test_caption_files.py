"""Captions next to a video are found by the names that downloaders give them."""

import json

import pytest

from keras_vatt.data import Problem, Segment, read_corpus

pytestmark = pytest.mark.once

VTT = "WEBVTT\n\n00:01.000 --> 00:02.500\n{}\n"
SRT = "00:00:01,000 --> 00:00:02,500\n{}\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "clip.mp4").write_bytes(b"not read here")
    return tmp_path


def write(folder, *names):
    for name in names:
        is_subrip = name.lower().endswith(".srt")
        (folder / name).write_text((SRT if is_subrip else VTT).format(f"of {name}"))


def captions(folder, **options):
    segments, findings = read_corpus(folder, **options)
    return [segment.caption for segment in segments], findings


@pytest.mark.parametrize(
    "stem",
    ["clip", "clip.en", "clip.en-US", "clip.en-orig", "clip.eng", "clip.zh-Hans"]
    + ["clip.mp4", "clip.mp4.en", "clip.en.sdh", "clip.en-j3PyPqV-e1s"],
)
@pytest.mark.parametrize("suffix", [".vtt", ".VTT", ".srt", ".SRT"])
def test_captions_named_as_yt_dlp_does_are_read(folder, stem, suffix):
    write(folder, stem + suffix)
    assert captions(folder) == ([f"of {stem}{suffix}"], [])


@pytest.mark.parametrize(
    ("names", "language", "chosen"),
    [
        (["clip.de.vtt", "clip.en.vtt", "clip.vtt"], "en", "clip.en.vtt"),
        (["clip.de.vtt", "clip.en.vtt"], "de", "clip.de.vtt"),
        (["clip.en-orig.vtt", "clip.en-GB.vtt"], "en", "clip.en-GB.vtt"),
        (["clip.en-orig.vtt", "clip.en.vtt"], "en", "clip.en.vtt"),
        (["clip.en-US.vtt", "clip.en.srt"], "en", "clip.en.srt"),
        (["clip.fr.vtt", "clip.vtt"], "en", "clip.vtt"),
        (["clip.fr.vtt", "clip.de.vtt"], "en", "clip.de.vtt"),
        (["clip.srt", "clip.vtt"], "en", "clip.vtt"),
    ],
)
def test_of_several_files_one_is_chosen_by_its_language(
    folder, names, language, chosen
):
    write(folder, *names)
    found, findings = captions(folder, caption_language=language)
    assert found == [f"of {chosen}"]
    assert {finding.problem for finding in findings} == {Problem.IGNORED}
    assert {finding.where for finding in findings} == {
        str(folder / name) for name in names if name != chosen
    }
    assert f"are read from {chosen}" in findings[0].reason


def test_a_file_that_can_not_be_read_leaves_its_place_to_the_next(folder):
    write(folder, "clip.vtt")
    (folder / "clip.en.vtt").write_text("no captions")
    found, (finding,) = captions(folder)
    assert found == ["of clip.vtt"]
    assert finding.problem is Problem.MALFORMED


def test_captions_go_to_the_video_with_the_longest_name(folder):
    (folder / "clip.en.mp4").write_bytes(b"not read here")
    write(folder, "clip.en.vtt")
    assert captions(folder) == (["of clip.en.vtt", ""], [])


def test_two_files_of_one_video_have_the_same_captions(folder):
    (folder / "clip.webm").write_bytes(b"not read here")
    write(folder, "clip.en.vtt")
    assert captions(folder) == (["of clip.en.vtt"] * 2, [])


def test_a_larger_caption_file_than_allowed_is_named(folder):
    write(folder, "clip.vtt")
    found, (finding,) = captions(folder, max_subtitle_bytes=10)
    assert found == [""]
    assert "larger than the 10 bytes" in finding.reason


CAPTIONS = {
    "start": [5, 1.5, 3, 7, "x", 9],
    "end": [6.25, 2, 2, float("nan"), 9, 10],
    "text": ["fry it", "chop  the\nonion", "backwards", "never ends", "no time", None],
}
SEGMENTS = [(1.5, 2.0, "chop the onion"), (5.0, 6.25, "fry it")]


def read(folder):
    segments, findings = read_corpus(folder)
    path = str(folder / "clip.mp4")
    expected = [Segment(path, *segment) for segment in SEGMENTS]
    assert segments == expected
    (finding,) = findings
    assert finding.problem is Problem.MALFORMED
    assert finding.reason.startswith("4 cues")


@pytest.mark.parametrize("place", [".", ".."], ids=["beside", "above"])
def test_the_json_file_of_howto100m_is_read(folder, place):
    table = json.dumps({"clip": CAPTIONS, "another": 7})
    (folder / "sub").mkdir()
    (folder / "clip.mp4").rename(folder / "sub" / "clip.mp4")
    (folder / "sub" / place / "caption.json").write_text(table)
    segments, _ = read_corpus(folder)
    assert [(s.start, s.end, s.caption) for s in segments] == SEGMENTS


def test_invalid_captions_of_the_json_file_are_counted(folder):
    (folder / "caption.json").write_text(json.dumps({"clip": CAPTIONS}))
    read(folder)


def test_the_csv_file_of_howto100m_is_read(folder):
    # As pandas writes it: the first column has no name.
    rows = zip(*CAPTIONS.values(), strict=True)
    lines = [f'{n},{s},{e},"{t or ""}"' for n, (s, e, t) in enumerate(rows)]
    (folder / "clip.csv").write_text("\n".join([",start,end,text", *lines]))
    read(folder)


def test_a_video_is_found_in_the_json_file_by_the_id_in_its_name(folder):
    (folder / "clip.mp4").rename(folder / "A talk [dQw4w9WgXcQ].mp4")
    entry = {"start": [1], "end": [2], "text": ["words"]}
    (folder / "caption.json").write_text(json.dumps({"dQw4w9WgXcQ": entry}))
    assert captions(folder) == (["words"], [])


def test_subtitles_come_before_tables(folder):
    write(folder, "clip.en.vtt")
    (folder / "caption.json").write_text(json.dumps({"clip": CAPTIONS}))
    assert captions(folder)[0] == ["of clip.en.vtt"]


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("caption.json", "[]", "not an object"),
        ("caption.json", "{", "not valid JSON"),
        ("caption.json", "[" * 100_000, "nested too deeply"),
        ("caption.json", '{"clip": []}', "no lists `start`, `end` and `text`"),
        ("caption.json", '{"clip": {"start": 1}}', "no lists"),
        (
            "caption.json",
            '{"clip": {"start": [1], "end": [2], "text": []}}',
            "different lengths",
        ),
        ("clip.csv", "begin,end,text\n1,2,words", "no column `start`, but `begin`"),
        ("clip.csv", "", "no header"),
        ("clip.csv", 'start,end,text\n1,2,"words', "unexpected end"),
    ],
)
def test_a_table_that_can_not_be_read_is_named(folder, name, text, reason):
    (folder / name).write_text(text)
    found, (finding,) = captions(folder)
    assert found == [""]
    assert finding.problem is Problem.MALFORMED
    assert reason in finding.reason
