"""Captions that roll up, such as YouTube's automatic ones: each line said once.

They show the line that is spoken below the one before it. So a file has each line
several times: while it is spoken, for 10 ms when it is complete, and again above the
next line.
"""

import dataclasses

# Seconds: a cue this short only holds what was shown.
_LONGEST_HOLD = 0.05
# Seconds between two cues of which the second may carry lines over.
_LARGEST_GAP = 0.1
# A screen of rolling captions has two or three.
_MOST_LINES = 4


@dataclasses.dataclass(frozen=True)
class ShownLines:
    """Lines that are shown for some time.

    Args:
        start: float, seconds.
        end: float, seconds.
        lines: tuple of strings, none of them empty.
    """

    start: float
    end: float
    lines: tuple[str, ...]


def merge_rolling(cues):
    """Removes the lines that a cue carries over from the one before.

    Captions are taken to roll if a cue of at most 50 ms repeats what was shown, or if
    at least half of the cues carry lines over. Others are returned as they are: people
    do repeat themselves.

    Args:
        cues: list of `ShownLines`, ordered by start.

    Returns:
        List of `ShownLines`. A cue that only holds the lines of the one before
        is merged into it.
    """
    carried = [0, *map(_carried_lines, cues, cues[1:])]
    if not _are_rolling(cues, carried):
        return cues
    merged = []
    for cue, count in zip(cues, carried, strict=True):
        if count < len(cue.lines):
            merged.append(dataclasses.replace(cue, lines=cue.lines[count:]))
        elif merged and _is_short(cue):
            end = max(merged[-1].end, cue.end)
            merged[-1] = dataclasses.replace(merged[-1], end=end)
    return merged


def _carried_lines(before, cue):
    """Number of lines at the end of a cue with which the next one begins."""
    if cue.start > before.end + _LARGEST_GAP:
        return 0
    most = min(len(before.lines), len(cue.lines), _MOST_LINES)
    for count in range(most, 0, -1):
        if before.lines[-count:] == cue.lines[:count]:
            return count
    return 0


def _are_rolling(cues, carried):
    holds = any(
        count == len(cue.lines) and _is_short(cue)
        for cue, count in zip(cues, carried, strict=True)
    )
    rolls = sum(
        0 < count < len(cue.lines) for cue, count in zip(cues, carried, strict=True)
    )
    return holds or rolls >= max(2, len(cues) / 2)


def _is_short(cue):
    return cue.end - cue.start <= _LONGEST_HOLD
