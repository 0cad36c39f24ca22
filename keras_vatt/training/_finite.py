"""Finding the clips of a batch that hold a NaN or an infinity."""

import numpy as np


def nonfinite_clips(batch):
    """Numbers of the clips that hold a NaN or an infinity.

    Args:
        batch: NumPy array, clips first. Clips are looked at one by one, so that no copy
            of a large array is made.

    Returns:
        List of ints, empty for a batch of integers.
    """
    if batch.ndim == 0 or not np.issubdtype(batch.dtype, np.inexact):
        return []
    return [number for number, clip in enumerate(batch) if not np.isfinite(clip).all()]


def check_finite(name, batch):
    """Raises an error that names the clips with a NaN or an infinity.

    Args:
        name: string, what the batch is, for the error.
        batch: NumPy array, clips first.

    Raises:
        ValueError: if there are such clips.
    """
    clips = nonfinite_clips(batch)
    if clips:
        raise ValueError(
            f"'{name}' must be finite. It has a NaN or an infinity in "
            f"{named_clips(clips)}: repair these clips or leave them out."
        )


def named_clips(numbers, most=5):
    """The numbers of some clips in words, such as `"clips 1, 4, 5, 6, 9 and 2 more"`.

    Args:
        numbers: list of ints.
        most: int. How many are written out. Defaults to `5`.

    Returns:
        String.
    """
    shown = ", ".join(str(number) for number in numbers[:most])
    others = len(numbers) - most
    ending = f" and {others} more" if others > 0 else ""
    return f"clip{'s' if len(numbers) > 1 else ''} {shown}{ending}"
