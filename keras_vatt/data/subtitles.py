"""Captions with times from WebVTT and SubRip files."""

import codecs
import dataclasses
import html
import io
import pathlib
import re

import webvtt
from webvtt.errors import MalformedFileError

SUBTITLE_SUFFIXES = (".vtt", ".srt")

_TIMES_ARROW = "-->"
# Formatting that some SubRip files take over from another format: {\an8}.
_OVERRIDE_TAG = re.compile(r"\{\\[^}]*\}")


@dataclasses.dataclass(frozen=True)
class Cue:
    """One caption of a subtitle file.

    Args:
        start: float, seconds at which it appears.
        end: float, seconds at which it disappears.
        caption: str, its words in one line, without tags.
    """

    start: float
    end: float
    caption: str


def read_subtitles(path):
    r"""Read the cues of a WebVTT (`.vtt`) or SubRip (`.srt`) file.

    Tags, cue settings, styles and comments are dropped, and the lines of a cue are
    joined. Cues may overlap: each is kept as it is.

    Args:
        path: str or path, its suffix tells the format. UTF-8, or the encoding of its
            byte order mark.

    Returns:
        Tuple of a list of `Cue`, by start time, and of the number of cues left out:
        those without words, and those whose times can't be read or run backwards.

    Raises:
        ValueError: If the file is not in the format of its suffix, or if its text
            can't be decoded.

    Example:
    ```python
    import pathlib
    from keras_vatt.data import read_subtitles

    text = "WEBVTT\n\n00:01.000 --> 00:02.500\nstir the <b>sauce</b>"
    pathlib.Path("cooking.vtt").write_text(text)
    read_subtitles("cooking.vtt")  # ([Cue(1.0, 2.5, "stir the sauce")], 0)
    ```
    """
    path = pathlib.Path(path)
    text = _decoded(path.read_bytes()).strip()
    try:
        parsed = webvtt.from_buffer(io.StringIO(text), format=path.suffix.lower()[1:])
    except MalformedFileError as error:
        raise ValueError(f"{path} is not in the format of its suffix") from error
    cues = [cue for cue in map(_to_cue, parsed) if cue.caption and cue.end > cue.start]
    announced = sum(_TIMES_ARROW in line for line in text.splitlines())
    return sorted(cues, key=lambda cue: cue.start), max(0, announced - len(cues))


def _decoded(data):
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16")
    return data.decode("utf-8-sig")


def _to_cue(caption):
    words = html.unescape(_OVERRIDE_TAG.sub("", caption.text)).split()
    start, end = caption.start_time, caption.end_time
    return Cue(
        start.in_milliseconds() / 1000, end.in_milliseconds() / 1000, " ".join(words)
    )
