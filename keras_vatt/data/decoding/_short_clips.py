"""The rule for clips that are shorter than the clip of a model."""

import numpy as np

SHORT_CLIPS = ("repeat", "pad", "error")

_FILLED = {"repeat": "repeated", "pad": "padded"}


def check_short_clips(short_clips):
    """Raises a `ValueError` unless a rule is known.

    Args:
        short_clips: str. `"repeat"`, `"pad"` or `"error"`.

    Raises:
        ValueError: If it is none of these.
    """
    if short_clips not in SHORT_CLIPS:
        raise ValueError(
            f"`short_clips` must be one of {list(SHORT_CLIPS)}. "
            f"Received: short_clips={short_clips!r}"
        )


def filled_reason(reason, short_clips):
    """Returns the reason of a finding of `Problem.SHORT`.

    Args:
        reason: str. How long the clip is.
        short_clips: str. `"repeat"` or `"pad"`.

    Returns:
        str, such as `"lasts 0.80 s, a clip 3.20 s: repeated"`.
    """
    return f"{reason}: {_FILLED[short_clips]}"


def lengthen(values, count, short_clips):
    """Fills frames or samples up to the length of a clip.

    The original data pipeline (DMVR, `sample_or_pad_sequence_indices` with
    `repeat_sequence`) repeats both video and audio from the beginning.

    Args:
        values: NumPy array of shape `(length, ...)`, with at least one entry.
        count: int. Entries that a clip has.
        short_clips: str. `"repeat"` starts over from the first entry, `"pad"` appends
            zeros: black frames, silence.

    Returns:
        NumPy array of shape `(count, ...)`. What is longer is cut off.
    """
    missing = count - len(values)
    if missing <= 0:
        return values[:count]
    if short_clips == "pad":
        return np.pad(values, [(0, missing), *[(0, 0)] * (values.ndim - 1)])
    return values[np.arange(count) % len(values)]
