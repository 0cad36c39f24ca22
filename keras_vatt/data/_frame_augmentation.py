"""Random changes to the frames of a clip, drawn on the host, for fine-tuning."""

import dataclasses

import av
import numpy as np

_ATTEMPTS = 100  # To draw a crop that fits into the frame.
_BRIGHTNESS, _HUE = 32 / 255, 0.2
_FACTORS = (0.6, 1.4)  # Of saturation and of contrast.


@dataclasses.dataclass(frozen=True)
class FrameAugmentation:
    """Crop, mirror and color jitter, the same for all frames of a clip.

    VATT's fine-tuning on video. A part of the frame of random size, shape and place is
    resized to the whole frame. Brightness, saturation, contrast and hue are changed, in
    that order, by at most 32/255, factors from 0.6 to 1.4 (twice) and 0.2 of the
    color circle; colors that leave the range are cut off after each of these. Unlike
    the original, which crops the whole picture, this crops frames that the
    preprocessor has cropped to a square already.

    Args:
        area: tuple of floats, the least and the largest part of the frame. Defaults to
            `(0.08, 1.0)`.
        aspect: tuple of floats, the least and the largest width over height. Defaults
            to `(0.5, 2.0)`.
        mirror: float, probability that a clip is mirrored left to right. Defaults to
            `0.5`.
        color: float, probability that the colors of a clip are changed. Defaults to
            `0.8`.

    Raises:
        ValueError: if a probability or a range is impossible.

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
    mirror: float = 0.5
    color: float = 0.8

    def __post_init__(self):
        for name in ("area", "aspect"):
            low, high = getattr(self, name)
            if not 0 < low <= high or (name == "area" and high > 1):
                raise ValueError(
                    f"`{name}` must be a range of positive numbers, of areas up to 1. "
                    f"Received: {name}={getattr(self, name)}"
                )
        for name in ("mirror", "color"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(
                    f"`{name}` must lie in [0, 1]. Received: {getattr(self, name)}"
                )

    def __call__(self, frames, generator):
        """A changed copy of a clip.

        Args:
            frames: uint8 array of shape `(frames, height, width, 3)`.
            generator: `numpy.random.Generator`, the only source of randomness.

        Returns:
            uint8 array of the same shape.

        Raises:
            ValueError: if `frames` is of another kind.
        """
        frames = np.asarray(frames)
        if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3:
            raise ValueError(
                "Frames to augment are uint8 of shape (frames, height, width, 3). "
                f"Received: {frames.dtype} of shape {frames.shape}"
            )
        frames = _resized(self._crop(frames, generator), frames.shape[1:3])
        if generator.uniform() < self.mirror:
            frames = frames[:, :, ::-1]
        if generator.uniform() >= self.color:
            return np.ascontiguousarray(frames)
        return change_colors(
            frames,
            brightness=generator.uniform(-_BRIGHTNESS, _BRIGHTNESS),
            saturation=generator.uniform(*_FACTORS),
            contrast=generator.uniform(*_FACTORS),
            hue=generator.uniform(-_HUE, _HUE),
        )

    def get_config(self):
        """Return the arguments that make this augmentation, as a dict."""
        return dataclasses.asdict(self)

    @classmethod
    def from_config(cls, config):
        """Make an augmentation from what `get_config` returned."""
        ranges = {name: tuple(config[name]) for name in ("area", "aspect")}
        return cls(**config | ranges)

    def _crop(self, frames, generator):
        full_height, full_width = frames.shape[1:3]
        for _ in range(_ATTEMPTS):
            pixels = generator.uniform(*self.area) * full_height * full_width
            aspect = generator.uniform(*self.aspect)
            height = round((pixels / aspect) ** 0.5)
            width = round((pixels * aspect) ** 0.5)
            if 0 < height <= full_height and 0 < width <= full_width:
                top = generator.integers(full_height - height + 1)
                left = generator.integers(full_width - width + 1)
                return frames[:, top : top + height, left : left + width]
        return frames


def change_colors(frames, brightness, saturation, contrast, hue):
    """Frames in other colors.

    Args:
        frames: uint8 array of shape `(frames, height, width, 3)`.
        brightness: float that is added to channels in [0, 1].
        saturation: float by which the saturation is multiplied.
        contrast: float by which the distance from a frame's mean color is multiplied.
        hue: float by which the color circle, of length 1, is turned.

    Returns:
        uint8 array of the same shape.
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
    """Multiply the saturation, up to the most there is, at the same hue and value."""
    value = images.max(axis=-1, keepdims=True)
    spread = value - images.min(axis=-1, keepdims=True)
    most = value / np.maximum(spread, 1e-6)
    return value - np.minimum(np.float32(factor), most) * (value - images)


def _resized(frames, shape):
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
