"""Roll-up captions have each line once; other captions are unchanged."""

import pytest

from keras_vatt.data import Cue, read_subtitles

pytestmark = pytest.mark.once

LINES = [
    ("hello everyone welcome", 0.24, 2.389),
    ("to the kitchen where we", 2.399, 4.789),
    ("fry an onion", 4.799, 7.12),
    ("fry an onion", 7.13, 9.0),
    ("[Music]", 12.0, 14.0),
]


def clock(seconds):
    return f"00:{int(seconds) // 60:02}:{seconds % 60:06.3f}"


def timed(line, start, end):
    """A line as it is spoken: each word but the first behind its time."""
    first, *others = line.split()
    step = (end - start) / (len(others) + 1)
    times = [clock(start + step * number) for number in range(1, len(others) + 1)]
    tags = (f"<{t}><c> {word}</c>" for t, word in zip(times, others, strict=True))
    return first + "".join(tags)


def youtube(lines=LINES, header="Kind: captions\nLanguage: en\n"):
    """WebVTT as YouTube's automatic captions are: two lines that roll up."""
    cues, shown, shown_until = [], " ", 0.0
    for line, start, end in lines:
        above = shown if start - shown_until < 0.1 else " "
        place = "align:start position:0%"
        cues.append(f"{clock(start)} --> {clock(end)} {place}\n")
        cues[-1] += f"{above}\n{timed(line, start, end)}\n"
        cues.append(f"{clock(end)} --> {clock(end + 0.01)} {place}\n{line}\n \n")
        shown, shown_until = line, end + 0.01
    return f"WEBVTT\n{header}\n" + "\n".join(cues)


def read(folder, text, suffix=".vtt"):
    path = folder / f"talk{suffix}"
    path.write_text(text)
    return read_subtitles(path)


def test_each_line_of_automatic_captions_is_one_cue(tmp_path):
    cues, left_out = read(tmp_path, youtube())
    assert [cue.caption for cue in cues] == [line for line, _, _ in LINES]
    assert left_out == 0
    for cue, (_, start, end) in zip(cues, LINES, strict=True):
        assert cue.start == pytest.approx(start)
        # With the cue of 10 ms that holds the line.
        assert cue.end == pytest.approx(end + 0.01)


def test_automatic_captions_converted_to_subrip_are_merged_too(tmp_path):
    _, *cues = youtube().replace("<c>", "").replace("</c>", "").split("\n\n")
    times = [cue.replace(" align:start position:0%", "") for cue in cues]
    text = "\n\n".join(f"{n}\n{cue}" for n, cue in enumerate(times, 1))
    cues, left_out = read(tmp_path, text, ".srt")
    assert [cue.caption for cue in cues] == [line for line, _, _ in LINES]
    assert left_out == 0


def test_one_line_that_is_held_is_one_cue(tmp_path):
    cues, _ = read(tmp_path, youtube(LINES[:1]))
    assert [cue.caption for cue in cues] == ["hello everyone welcome"]


def test_rolling_captions_without_short_cues_are_merged(tmp_path):
    screens = ["a b", "a b\nc d", "c d\ne f", "e f\ng h"]
    cues = (
        f"00:0{n}.000 --> 00:0{n + 1}.000\n{text}\n" for n, text in enumerate(screens)
    )
    found, _ = read(tmp_path, "WEBVTT\n\n" + "\n".join(cues))
    assert [cue.caption for cue in found] == ["a b", "c d", "e f", "g h"]


def test_lines_that_people_repeat_are_kept(tmp_path):
    text = "WEBVTT\n\n" + "\n".join(
        f"00:0{n}.000 --> 00:0{n + 1}.000\n{caption}\n"
        for n, caption in enumerate(["no", "no", "no\nI say", "never", "ever"])
    )
    cues, _ = read(tmp_path, text)
    assert [cue.caption for cue in cues] == ["no", "no", "no I say", "never", "ever"]


def test_a_line_that_returns_after_a_pause_is_kept(tmp_path):
    lines = [*LINES[:2], ("to the kitchen where we", 9.0, 11.0)]
    cues, _ = read(tmp_path, youtube(lines))
    assert cues[2] == Cue(9.0, 11.01, "to the kitchen where we")


def test_a_screen_of_many_equal_lines_takes_linear_time(tmp_path):
    lines = "a\n" * 100_000
    text = f"WEBVTT\n\n00:01.000 --> 00:02.000\n{lines}b\n\n"
    text += f"00:02.000 --> 00:02.010\n{lines}"
    cues, _ = read(tmp_path, text)
    assert len(cues) == 2
