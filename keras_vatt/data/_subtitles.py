"""Reads captions with times from WebVTT and SubRip files."""

import codecs
import dataclasses
import html
import io
import os
import re

import webvtt
from webvtt.errors import MalformedFileError

from keras_vatt.data._remote_path import to_path
from keras_vatt.data._rolling_captions import ShownLines, merge_rolling
from keras_vatt.data._subrip import subrip_to_webvtt

SUBTITLE_SUFFIXES = (".vtt", ".srt")
MAX_SUBTITLE_BYTES = 16 * 2**20

_TIMES_ARROW = "-->"
# Formatting of another format in some SubRip files: {\an8}. The pattern allows no brace
# inside, so that text of many opening braces takes linear time.
_OVERRIDE_TAG = re.compile(r"\{\\[^{}]*\}")


@dataclasses.dataclass(frozen=True)
class Cue:
    """One caption of a subtitle file.

    Args:
        start: float. Time at which it appears, in seconds.
        end: float. Time at which it disappears, in seconds.
        caption: str. Its text in one line, without tags.
    """

    start: float
    end: float
    caption: str


def read_subtitles(
    path: str | os.PathLike[str], max_bytes: int = MAX_SUBTITLE_BYTES
) -> tuple[list[Cue], int]:
    r"""Reads the cues of a WebVTT (`.vtt`) or SubRip (`.srt`) file.

    Tags, cue settings, styles and comments are dropped, and the lines of a cue are
    joined. Cues may overlap. Roll-up captions, such as YouTube's automatic ones, have
    each line several times: it is kept once, in the cue in which it is spoken.

    SubRip files may lack index lines, and may have blank lines anywhere and times such
    as `00:01.500`.

    Args:
        path: str, path or URL of the file; its suffix is the format. The encoding is
            UTF-8, or that of the byte order mark.
        max_bytes: int, size of the largest file that is read: each megabyte takes about
            a second. Defaults to 16 MiB.

    Returns:
        Tuple of a list of `Cue`, sorted by start, and of the number of skipped cues:
        those without words, and those with invalid times.

    Raises:
        ValueError: If the file is not in the format of its suffix, if its text
            can't be decoded, or if it is larger than `max_bytes`.

    Example:
    ```python
    import pathlib
    from keras_vatt.data import read_subtitles

    text = "WEBVTT\n\n00:01.000 --> 00:02.500\nstir the <b>sauce</b>"
    pathlib.Path("cooking.vtt").write_text(text)
    read_subtitles("cooking.vtt")  # ([Cue(1.0, 2.5, "stir the sauce")], 0)
    ```
    """
    path = to_path(path)
    text = read_caption_text(path, max_bytes).strip()
    try:
        is_subrip = path.suffix.lower() == ".srt"
        as_webvtt = subrip_to_webvtt(text) if is_subrip else text
        parsed = webvtt.from_buffer(io.StringIO(as_webvtt), format="vtt")
    except (MalformedFileError, ValueError) as error:
        raise ValueError(f"{path} is not in the format of its suffix") from error
    cues = [cue for cue in map(_to_lines, parsed) if cue.lines and cue.end > cue.start]
    announced = sum(_TIMES_ARROW in line for line in text.splitlines())
    left_out = max(0, announced - len(cues))
    cues = merge_rolling(sorted(cues, key=lambda cue: cue.start))
    return [Cue(cue.start, cue.end, " ".join(cue.lines)) for cue in cues], left_out


def read_caption_text(path, max_bytes):
    """Reads a text file of captions of limited size.

    Args:
        path: `pathlib.Path` or `RemotePath`.
        max_bytes: int, size of the largest file that is read.

    Returns:
        A string without a byte order mark.

    Raises:
        ValueError: If the file is larger, or its text can't be decoded.
    """
    with path.open("rb") as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise ValueError(f"{path} is larger than the {max_bytes:,} bytes that are read")
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16")
    return data.decode("utf-8-sig")


def _to_lines(caption):
    lines = _OVERRIDE_TAG.sub("", caption.text).split("\n")
    words = (" ".join(_unescaped(line).split()) for line in lines)
    start, end = caption.start_time, caption.end_time
    return ShownLines(
        start.in_milliseconds() / 1000,
        end.in_milliseconds() / 1000,
        tuple(filter(None, words)),
    )


def _unescaped(text):
    try:
        return html.unescape(text)
    except ValueError:  # A character reference with thousands of digits.
        return text
