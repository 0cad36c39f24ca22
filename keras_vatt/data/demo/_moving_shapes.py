"""Frames of the demo corpus: a colored shape that moves across the frame."""

import dataclasses
import itertools
import math

import numpy as np

COLORS = {
    "red": (225, 40, 40),
    "orange": (245, 140, 30),
    "yellow": (240, 225, 60),
    "green": (40, 180, 70),
    "blue": (50, 90, 235),
    "purple": (160, 60, 205),
}
SHAPES = ("circle", "square", "triangle", "star", "cross")
# Direction as (column, row) on the screen.
MOTIONS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}

# Factor by which shapes are drawn larger and then scaled down, for smooth edges.
_OVERSAMPLING = 4
# Opacity of the track of a shape, relative to the shape.
_TRACK = 0.5


@dataclasses.dataclass(frozen=True)
class Combination:
    """Content of the video, the audio or the caption of a demo clip.

    Args:
        color: str, a key of `COLORS`.
        shape: str, one of `SHAPES`.
        motion: str, a key of `MOTIONS`.
    """

    color: str
    shape: str
    motion: str

    def __str__(self):
        return f"{self.color} {self.shape} {self.motion}"


COMBINATIONS = tuple(
    itertools.starmap(Combination, itertools.product(COLORS, SHAPES, MOTIONS))
)


@dataclasses.dataclass(frozen=True)
class Appearance:
    """Appearance of a combination in one clip.

    Args:
        size: float in `(0, 1)`. Height and width of the shape, as a fraction of the
            frame.
        column: float in `[0, 1]`. Start position: `0` is at the left edge of the frame,
            `1` at the right edge.
        row: float in `[0, 1]`. The same from the upper edge to the lower one.
        reach: float in `[0, 1]`. Fraction of the distance to the edge that it moves.
        brightness: float in `[0, 1]`. Factor of its color.
        shade: int in `[0, 255]`. Gray level of the background.
    """

    size: float
    column: float
    row: float
    reach: float
    brightness: float
    shade: int


def render_moving_shape(combination, appearance, num_frames, frame_size):
    """Renders a shape that moves toward an edge of the frame.

    It starts fast and slows down until it stops in the last frame, and leaves a track
    of its color with half its opacity.

    Args:
        combination: `Combination`.
        appearance: `Appearance`.
        num_frames: int, the number of frames.
        frame_size: int, height and width of a frame in pixels.

    Returns:
        NumPy array of uint8, shape `(num_frames, frame_size, frame_size, 3)`, RGB.

    Raises:
        ImportError: If Pillow is not installed.

    Example:
    ```python
    from keras_vatt.data.demo._moving_shapes import (
        COMBINATIONS, Appearance, render_moving_shape
    )

    appearance = Appearance(0.3, 0.5, 0.5, reach=0.9, brightness=1.0, shade=60)
    render_moving_shape(COMBINATIONS[0], appearance, 26, 64).shape  # (26, 64, 64, 3)
    ```
    """
    size = round(appearance.size * frame_size)
    coverage = _draw(combination.shape, size)[..., np.newaxis]
    color = np.array(COLORS[combination.color]) * appearance.brightness
    frames = np.empty((num_frames, frame_size, frame_size, 3), np.uint8)
    track = np.zeros((frame_size, frame_size, 1))
    corners = _path(combination.motion, appearance, num_frames) * frame_size
    for frame, (left, top) in zip(frames, np.floor(corners).astype(int), strict=True):
        here = np.s_[top : top + size, left : left + size]
        track[here] = np.maximum(track[here], _TRACK * coverage)
        covered = track.copy()
        covered[here] = np.maximum(covered[here], coverage)
        frame[:] = np.round(appearance.shade + covered * (color - appearance.shade))
    return frames


def _path(motion, appearance, num_frames):
    """Returns the left and upper end of the shape in each frame, `(frames, 2)`."""
    direction = np.array(MOTIONS[motion])
    free = 1 - appearance.size
    start = free * np.array((appearance.column, appearance.row))
    edge = np.where(direction < 0, 0.0, free)
    end = np.where(direction == 0, start, start + appearance.reach * (edge - start))
    time = np.linspace(0, 1, num_frames)[:, np.newaxis]
    return start + (end - start) * (1 - (1 - time) ** 2)


def _draw(shape, size):
    """Returns the fraction of each pixel that a shape covers, `(size, size)`."""
    try:
        from PIL import Image, ImageDraw
    except ImportError as error:
        raise ImportError(
            "The demo corpus needs Pillow. Install it with: "
            'pip install "keras-vatt[demo]"'
        ) from error
    large = size * _OVERSAMPLING
    image = Image.new("L", (large, large))
    draw = ImageDraw.Draw(image)
    if shape == "circle":
        draw.ellipse((0, 0, large - 1, large - 1), fill=255)
    else:
        corners = np.array(_corners(shape)) * (large - 1)
        draw.polygon([tuple(corner) for corner in corners], fill=255)
    small = image.resize((size, size), Image.Resampling.BOX)
    return np.asarray(small, np.float64) / 255


def _corners(shape):
    """Returns the corners of a polygon in the unit square, as `(column, row)`."""
    if shape == "square":
        return (0, 0), (1, 0), (1, 1), (0, 1)
    if shape == "triangle":
        return (0.5, 0), (1, 1), (0, 1)
    if shape == "cross":
        a, b = 0.33, 0.67
        upper = (a, 0), (b, 0), (b, a), (1, a), (1, b), (b, b)
        return *upper, (b, 1), (a, 1), (a, b), (0, b), (0, a), (a, a)
    radii = (0.5, 0.2) * 5
    angles = [math.pi * corner / 5 for corner in range(10)]
    return [
        (0.5 + radius * math.sin(angle), 0.5 - radius * math.cos(angle))
        for radius, angle in zip(radii, angles, strict=True)
    ]
