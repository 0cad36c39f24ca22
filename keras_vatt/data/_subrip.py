"""Converts SubRip, with or without valid index lines, to WebVTT."""

import re

_TIME = r"(?:(\d{1,3})\s*:\s*)?(\d{1,2})\s*:\s*(\d{1,2})(?:\s?[,.:]\s?(\d{1,3}))?"
_TIMES = re.compile(rf"\s*{_TIME}\s*-->\s*{_TIME}(?:\s.*)?", re.DOTALL)
_NEWLINE = re.compile(r"\r\n|\r|\n")
_ARROW = "-->"


def subrip_to_webvtt(text):
    r"""Converts SubRip to WebVTT, which has no index lines.

    A cue begins at a line with two times: with or without hours, with a comma or a dot
    before the milliseconds. Its text ends at the next such line, so that blank lines
    and missing index lines don't matter.

    Args:
        text: str without a byte order mark.

    Returns:
        A string, without cues whose times are invalid.

    Raises:
        ValueError: If no line has times, or the text is WebVTT.

    Example:
    ```python
    subrip_to_webvtt("0:01,5 --> 0:02,000\nstir")
    # "WEBVTT\n\n00:00:01.500 --> 00:00:02.000\nstir\n"
    ```
    """
    lines = _NEWLINE.split(text)
    starts = [number for number, line in enumerate(lines) if _ARROW in line]
    cues = []
    for start, end in zip(starts, [*starts[1:], None], strict=True):
        times = _times(lines[start])
        if times is not None:
            cues.append("\n".join([times, *_caption(lines[start + 1 : end], end)]))
    if not cues or text.startswith("WEBVTT"):
        raise ValueError("no line has the times of a SubRip cue")
    return "\n\n".join(["WEBVTT", *cues]) + "\n"


def _times(line):
    match = _TIMES.fullmatch(line)
    if match is None:
        return None
    parts = match.groups(default="0")
    return f"{_webvtt_time(*parts[:4])} {_ARROW} {_webvtt_time(*parts[4:])}"


def _webvtt_time(hours, minutes, seconds, fraction):
    return f"{int(hours):02}:{int(minutes):02}:{int(seconds):02}.{fraction:0<3}"


def _caption(lines, is_followed):
    """Returns the text of a cue without blank lines and the index of the next cue."""
    filled = [number for number, line in enumerate(lines) if line.strip()]
    if filled and is_followed is not None and _is_index(lines, filled[-1]):
        filled.pop()
    return [lines[number] for number in filled]


def _is_index(lines, number):
    """Returns whether the last line before the times of a cue is its index.

    A number directly below other lines and above a blank line ends a caption.
    """
    if not lines[number].strip().isdecimal():
        return False
    touches_text = number == 0 or bool(lines[number - 1].strip())
    touches_times = number == len(lines) - 1
    return touches_times or not touches_text
