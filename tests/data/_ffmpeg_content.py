"""Images that carry their number, and audio with transients, for the oracle tests."""

import numpy as np

_ROWS, _COLUMNS = 2, 4
# The color of a bit of 0; all others differ from it in luma only. FFmpeg 8 places
# chroma samples where the stream says and FFmpeg 5 does not: one chroma throughout
# hides that, and still shows a wrong color matrix or range.
_DARK = np.array([130, 30, 10])
_BRIGHT = 120


def coded_image(number, height=48, width=64, pixel_aspect=1.0):
    """Returns an image whose central square shows a number as 2 x 4 blocks.

    Args:
        number: int in [0, 255].
        height: int.
        width: int.
        pixel_aspect: float. Width of a pixel over its height.

    Returns:
        NumPy array of uint8, shape `(height, width, 3)`.
    """
    across = np.linspace(0, 60, width)
    down = np.linspace(0, 60, height)
    image = _DARK + (across + down[:, np.newaxis])[..., np.newaxis]
    image = image.astype(np.uint8)
    side = min(height, width * pixel_aspect)
    rows = _edges(height, side, _ROWS)
    columns = _edges(width, side / pixel_aspect, _COLUMNS)
    for bit in range(_ROWS * _COLUMNS):
        row, column = divmod(bit, _COLUMNS)
        block = (
            slice(rows[row], rows[row + 1]),
            slice(columns[column], columns[column + 1]),
        )
        image[block] = _DARK + _BRIGHT * (number >> bit & 1)
    return image


def code_in(image):
    """Reads the number out of the square crop of a coded image."""
    number = 0
    height, width = image.shape[:2]
    for bit in range(_ROWS * _COLUMNS):
        row, column = divmod(bit, _COLUMNS)
        y = round((row + 0.5) * height / _ROWS)
        x = round((column + 0.5) * width / _COLUMNS)
        level = image[y - 1 : y + 1, x - 1 : x + 1].mean()
        number |= int(level > _DARK.mean() + _BRIGHT / 2) << bit
    return number


def codes_in(images):
    """Reads the numbers out of several images."""
    return [code_in(image) for image in images]


def recording(seconds, rate, channels=1):
    """Returns audio like music and speech: tones, a sweep, and sudden bursts.

    Args:
        seconds: float.
        rate: int, hertz.
        channels: int. Each has tones of its own.

    Returns:
        NumPy array of float32, shape `(samples, channels)`.
    """
    time = np.arange(round(seconds * rate)) / rate
    height = 0.25 if channels <= 2 else 0.1
    tracks = []
    for channel in range(channels):
        # No period of the sweep is like another: a shift by a block is noticed.
        sweep = np.sin(2 * np.pi * (300 + 90 * channel + 40 * time) * time)
        track = height * (sweep + np.sin(2 * np.pi * (440 + 110 * channel) * time))
        for burst in range(int(seconds / 0.3)):
            first = round((0.1 + 0.3 * burst + 0.02 * channel) * rate)
            count = min(int(0.045 * rate), len(time) - first)
            noise = np.random.default_rng((channel, burst)).uniform(
                -1, 1, max(0, count)
            )
            decay = np.exp(-np.arange(len(noise)) / (0.0034 * rate))
            track[first : first + len(noise)] += 1.2 * height * decay * noise
        tracks.append(track)
    return np.clip(np.stack(tracks, axis=1), -1, 1).astype(np.float32)


def _edges(length, inner, count):
    first = (length - inner) / 2
    return np.round(first + np.arange(count + 1) * inner / count).astype(int)
