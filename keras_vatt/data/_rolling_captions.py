"""Roll-up captions, such as YouTube's automatic ones, with each line kept once.

They show the current line below the previous one. So a file has each line several
times: while it is spoken, for 10 ms when it is complete, and again above the next line.
"""

import dataclasses

# Seconds: a cue of at most this length only repeats the lines that were shown.
_LONGEST_HOLD = 0.05
# Largest gap, in seconds, between two cues of which the second may repeat lines.
_LARGEST_GAP = 0.1
# Roll-up captions show two or three lines.
_MOST_LINES = 4


@dataclasses.dataclass(frozen=True)
class ShownLines:
    """Lines that are shown together.

    Args:
        start: float. Start time in seconds.
        end: float. End time in seconds.
        lines: Tuple of strings, none of them empty.
    """

    start: float
    end: float
    lines: tuple[str, ...]


def merge_rolling(cues):
    """Removes the lines that a cue repeats from the previous one.

    Captions count as roll-up captions if a cue of at most 50 ms repeats the lines that
    were shown, or if at least half of the cues repeat lines. Others are returned
    unchanged, since people do repeat themselves.

    Args:
        cues: List of `ShownLines`, sorted by start.

    Returns:
        List of `ShownLines`. A cue that only repeats the lines of the previous one is
        merged into it.
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
    """Returns the number of lines at the end of a cue that the next one repeats."""
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
