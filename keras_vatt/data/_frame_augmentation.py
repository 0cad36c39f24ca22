"""Random augmentation of the frames of a clip on the host."""

from __future__ import annotations

import dataclasses

import av
import numpy as np

# Attempts to draw a crop that fits into the frame.
_ATTEMPTS = 100
# Largest change of brightness, and of hue as a fraction of the color circle.
_BRIGHTNESS, _HUE = 32 / 255, 0.2
# Range of the factors of saturation and of contrast.
_FACTORS = (0.6, 1.4)


@dataclasses.dataclass(frozen=True)
class FrameAugmentation:
    """Random crop, horizontal flip and color jitter, equal for all frames of a clip.

    This is the augmentation of VATT's fine-tuning on video. A crop of random area,
    aspect ratio and position is resized to the whole frame. Then brightness,
    saturation, contrast and hue are changed, in this order: by at most 32/255, by two
    factors from 0.6 to 1.4, and by at most 0.2 of the color circle. Colors are clipped
    to their range after each step. Unlike the original, which crops the full frame of
    the video, this class crops frames that the preprocessor has already cropped to a
    square.

    Args:
        area: Tuple of floats. Smallest and largest area of the crop, as fractions of
            the frame. Defaults to `(0.08, 1.0)`.
        aspect: Tuple of floats. Smallest and largest aspect ratio (width over height)
            of the crop. Defaults to `(0.5, 2.0)`.
        horizontal_flip: float. Probability that a clip is flipped horizontally.
            Defaults to `0.5`.
        color: float. Probability that the colors of a clip are changed. Defaults to
            `0.8`.

    Raises:
        ValueError: If a probability or a range is invalid.

    Example:
    ```python
    import numpy as np
    from keras_vatt.data import FrameAugmentation

    frames = np.zeros((4, 32, 32, 3), np.uint8)
    frames = FrameAugmentation()(frames, np.random.default_rng(0))
    # classifier.fit(["cat.mp4", "dog.mp4"], [0, 1], augmentation=FrameAugmentation())
    ```
    """

    area: tuple[float, float] = (0.08, 1.0)
    aspect: tuple[float, float] = (0.5, 2.0)
    horizontal_flip: float = 0.5
    color: float = 0.8

    def __post_init__(self) -> None:
        for name in ("area", "aspect"):
            low, high = getattr(self, name)
            if not 0 < low <= high or (name == "area" and high > 1):
                raise ValueError(
                    f"`{name}` must be a range of positive numbers (at most 1 for "
                    f"`area`). Received: {name}={getattr(self, name)}"
                )
        check_probabilities(self, ("horizontal_flip", "color"))

    def __call__(
        self, frames: np.ndarray, generator: np.random.Generator
    ) -> np.ndarray:
        """Returns an augmented copy of a clip.

        Args:
            frames: NumPy array of uint8, shape `(frames, height, width, 3)`.
            generator: `numpy.random.Generator`, the only source of randomness.

        Returns:
            NumPy array of uint8 and of the same shape.

        Raises:
            ValueError: If `frames` has another dtype or shape.
        """
        frames = np.asarray(frames)
        if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3:
            raise ValueError(
                "`frames` must be uint8 of shape (frames, height, width, 3). "
                f"Received: {frames.dtype} of shape {frames.shape}"
            )
        frames = resized_frames(
            random_area_crop(frames, generator, self.area, self.aspect),
            frames.shape[1:3],
        )
        if generator.uniform() < self.horizontal_flip:
            frames = frames[:, :, ::-1]
        if generator.uniform() >= self.color:
            return np.ascontiguousarray(frames)
        return jitter_colors(frames, generator)

    def get_config(self) -> dict:
        """Returns the arguments of this augmentation as a dict."""
        return dataclasses.asdict(self)

    @classmethod
    def from_config(cls, config: dict) -> FrameAugmentation:
        """Creates an augmentation from the result of `get_config`."""
        ranges = {name: tuple(config[name]) for name in ("area", "aspect")}
        return cls(**config | ranges)


def random_area_crop(frames, generator, area=(0.08, 1.0), aspect=(0.5, 2.0)):
    """Returns a crop of a clip of random area, aspect ratio and position, as a view.

    Args:
        frames: NumPy array of shape `(frames, height, width, 3)`.
        generator: `numpy.random.Generator`.
        area: Tuple of floats. Smallest and largest area, as fractions of the frame.
            Defaults to `(0.08, 1.0)`, as in VATT.
        aspect: Tuple of floats. Smallest and largest aspect ratio, width over height.
            Defaults to `(0.5, 2.0)`, as in VATT.
    """
    full_height, full_width = frames.shape[1:3]
    for _ in range(_ATTEMPTS):
        pixels = generator.uniform(*area) * full_height * full_width
        ratio = generator.uniform(*aspect)
        height = round((pixels / ratio) ** 0.5)
        width = round((pixels * ratio) ** 0.5)
        if 0 < height <= full_height and 0 < width <= full_width:
            return random_crop(frames, height, width, generator)
    return frames


def check_probabilities(augmentation, names):
    """Refuses arguments of an augmentation that are no probabilities.

    Args:
        augmentation: object with an attribute for each name.
        names: tuple of strings.

    Raises:
        ValueError: If one does not lie in [0, 1].
    """
    for name in names:
        if not 0 <= getattr(augmentation, name) <= 1:
            raise ValueError(
                f"`{name}` must lie in [0, 1]. Received: {getattr(augmentation, name)}"
            )


def random_crop(frames, height, width, generator):
    """Returns a crop of a clip at a random position, as a view.

    Args:
        frames: NumPy array of shape `(frames, full_height, full_width, 3)`.
        height: int, at most the full height.
        width: int, at most the full width.
        generator: `numpy.random.Generator`.
    """
    full_height, full_width = frames.shape[1:3]
    top = generator.integers(full_height - height + 1)
    left = generator.integers(full_width - width + 1)
    return frames[:, top : top + height, left : left + width]


def jitter_colors(frames, generator):
    """Changes the colors of a clip at random, as VATT does.

    Args:
        frames: NumPy array of uint8, shape `(frames, height, width, 3)`.
        generator: `numpy.random.Generator`.

    Returns:
        NumPy array of uint8 and of the same shape.
    """
    return change_colors(
        frames,
        brightness=generator.uniform(-_BRIGHTNESS, _BRIGHTNESS),
        saturation=generator.uniform(*_FACTORS),
        contrast=generator.uniform(*_FACTORS),
        hue=generator.uniform(-_HUE, _HUE),
    )


def change_colors(frames, brightness, saturation, contrast, hue):
    """Changes the colors of frames.

    Args:
        frames: NumPy array of uint8, shape `(frames, height, width, 3)`.
        brightness: float. Offset of the channels, which lie in [0, 1].
        saturation: float. Factor of the saturation.
        contrast: float. Factor of the distance from the mean color of a frame.
        hue: float. Rotation of the hue; 1 is the whole color circle.

    Returns:
        NumPy array of uint8 and of the same shape.
    """
    from matplotlib import colors  # Slow to import.

    images = np.clip(frames.astype(np.float32) / 255 + np.float32(brightness), 0, 1)
    images = _saturated(images, saturation)
    mean = images.mean(axis=(1, 2), keepdims=True)
    images = np.clip(mean + np.float32(contrast) * (images - mean), 0, 1)
    hsv = colors.rgb_to_hsv(images)
    hsv[..., 0] = (hsv[..., 0] + hue) % 1.0
    return np.rint(255 * colors.hsv_to_rgb(hsv)).astype(np.uint8)


def _saturated(images, factor):
    """Multiplies the saturation, up to its maximum, at the same hue and value."""
    value = images.max(axis=-1, keepdims=True)
    spread = value - images.min(axis=-1, keepdims=True)
    most = value / np.maximum(spread, 1e-6)
    return value - np.minimum(np.float32(factor), most) * (value - images)


def resized_frames(frames, shape):
    """Resizes frames with a bilinear filter.

    Args:
        frames: NumPy array of uint8, shape `(frames, height, width, 3)`.
        shape: tuple of ints, the new height and width.

    Returns:
        NumPy array of uint8 and of shape `(frames, *shape, 3)`.
    """
    height, width = shape
    reformatter = av.video.reformatter.VideoReformatter()
    resized = (
        reformatter.reformat(
            av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), "rgb24"),
            width=width,
            height=height,
            format="rgb24",
            interpolation="BILINEAR",
        )
        for frame in frames
    )
    return np.stack([frame.to_ndarray() for frame in resized])
