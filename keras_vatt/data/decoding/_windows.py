"""Positions of windows in time and of crops in space."""

import numpy as np


def window_starts(start, end, duration, num_windows, position=None):
    """Computes where the windows of a clip start.

    Args:
        start: float, seconds. Where the file, its segment or the array starts.
        end: float, seconds. Where it ends.
        duration: float. Seconds of a window.
        num_windows: int. One window lies in the middle, several lie evenly spread from
            the start to the end.
        position: float in `[0, 1]`. Where one window lies between the start and the
            end. Defaults to `None`, the middle.

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
    """Computes where crops lie along the longer side of a frame.

    Args:
        num_crops: int. One crop lies in the center, several lie evenly spread from one
            end to the other.

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
