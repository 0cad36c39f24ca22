"""The option for files that are shorter than a clip, and how clips are filled."""

import numpy as np

from keras_vatt._choices import check_choice

SHORT_CLIPS = ("repeat", "pad", "error")

_FILLED = {"repeat": "repeated", "pad": "padded"}


def check_short_clips(short_clips):
    """Raises a `ValueError` unless it is `"repeat"`, `"pad"` or `"error"`."""
    check_choice("short_clips", short_clips, SHORT_CLIPS)


def filled_reason(reason, short_clips):
    """Returns the reason of a finding of `Problem.SHORT`.

    Args:
        reason: str. Length of the clip, in words.
        short_clips: str. `"repeat"` or `"pad"`.

    Returns:
        str, such as `"lasts 0.80 s, a clip 3.20 s: repeated"`.
    """
    return f"{reason}: {_FILLED[short_clips]}"


def lengthen(values, count, short_clips):
    """Repeats or pads frames or samples to the length of a clip.

    The original data pipeline (DMVR, `sample_or_pad_sequence_indices` with
    `repeat_sequence`) repeats both video and audio from the beginning.

    Args:
        values: NumPy array of shape `(length, ...)`, with at least one entry.
        count: int. Number of entries of a clip.
        short_clips: str. `"repeat"` starts over from the first entry, `"pad"` appends
            zeros: black frames, silence.

    Returns:
        NumPy array of shape `(count, ...)`. Longer arrays are cut.
    """
    missing = count - len(values)
    if missing <= 0:
        return values[:count]
    if short_clips == "pad":
        return np.pad(values, [(0, missing), *[(0, 0)] * (values.ndim - 1)])
    return values[np.arange(count) % len(values)]
