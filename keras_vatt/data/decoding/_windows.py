"""Positions of windows in time, and of crops in space."""

import numpy as np


def window_starts(start, end, duration, num_windows, position=None):
    """Computes the start of each window of a file, a segment or an array.

    Args:
        start: float. Start of the file, the segment or the array, in seconds.
        end: float. Its end, in seconds.
        duration: float. Length of a window, in seconds.
        num_windows: int. A single window lies in the middle; several are spread evenly
            from the start to the end.
        position: float in `[0, 1]`. Position of a single window between the start (0)
            and the end (1). Defaults to `None`, the middle.

    Returns:
        NumPy array of float64, shape `(num_windows,)`.

    Raises:
        ValueError: If `num_windows` is below 1.
    """
    _check_count("num_windows", num_windows)
    spare = max(0.0, end - start - duration)
    if num_windows == 1:
        return np.array([start + spare * (0.5 if position is None else position)])
    return start + np.linspace(0.0, spare, num_windows)


def crop_positions(num_crops):
    """Computes the positions of crops along the longer side of a frame.

    Args:
        num_crops: int. A single crop lies in the center; several are spread evenly
            from one end to the other.

    Returns:
        Tuple of floats in [0, 1], see `decode_frames`.

    Raises:
        ValueError: If `num_crops` is below 1.
    """
    _check_count("num_crops", num_crops)
    return (0.5,) if num_crops == 1 else tuple(np.linspace(0.0, 1.0, num_crops))


def _check_count(name, value):
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"`{name}` must be a positive integer. Received: {value!r}")
