"""Random augmentation of a clip on the host, for pre-training."""

from __future__ import annotations

import dataclasses

import numpy as np

from keras_vatt.data._clip_elements import Element
from keras_vatt.data._frame_augmentation import (
    check_probabilities,
    jitter_colors,
    random_area_crop,
    random_crop,
    resized_frames,
)

# Range of the factors of height and width in the scale jitter.
_SCALES = (0.8, 1.2)


@dataclasses.dataclass(frozen=True)
class ClipAugmentation:
    """Random noise on the audio, and random changes of the frames.

    This is the augmentation of VATT's pre-training. All frames of a clip are changed
    alike. Only the noise is on by default: flips and other colors are wrong where
    captions speak of left and right or of colors.

    Args:
        noise: float. Standard deviation of Gaussian noise that is added to the
            waveform, as a fraction of its largest absolute sample. Defaults to
            `0.01`, as in pre-training of VATT.
        horizontal_flip: float. Probability that the frames of a clip are flipped
            horizontally. VATT uses `0.5`. Defaults to `0.0`.
        scale_jitter: float. Probability that height and width are scaled by two
            factors from 0.8 to 1.2, before a random crop of the old size is taken from
            the frames, scaled to fit. VATT uses `0.8`. Unlike the original, which
            scales the full frame of the video, this class scales frames that are
            already cropped to the size of the model's input. Defaults to `0.0`.
        color_jitter: float. Probability that the colors of a clip are changed, as by
            `FrameAugmentation`. VATT uses `0.8`. Defaults to `0.0`.
        random_area_crop: float. Probability that a crop of random area, from 8 % of
            the frame, and random aspect ratio is resized to the whole frame, as by
            `FrameAugmentation`. It comes before the scale jitter. VATT's code has it
            as an alternative to resizing. Defaults to `0.0`.

    Raises:
        ValueError: If `noise` is negative, or another argument is not a probability.

    Example:
    ```python
    import numpy as np
    from keras_vatt.data import ClipAugmentation

    element = {
        "video": np.zeros((4, 32, 32, 3), np.uint8),
        "audio": np.ones((800, 1), np.float32),
    }
    augmentation = ClipAugmentation(horizontal_flip=0.5, scale_jitter=0.8)
    element = augmentation(element, np.random.default_rng(0))
    ```
    """

    noise: float = 0.01
    horizontal_flip: float = 0.0
    scale_jitter: float = 0.0
    color_jitter: float = 0.0
    random_area_crop: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.noise < float("inf"):
            raise ValueError(f"`noise` must not be negative. Received: {self.noise}")
        probabilities = {field.name for field in dataclasses.fields(self)} - {"noise"}
        check_probabilities(self, sorted(probabilities))

    def __call__(self, element: Element, generator: np.random.Generator) -> Element:
        """Returns an augmented copy of an element.

        Args:
            element: Dict of arrays with `video` and `audio`, see `ClipSource`.
            generator: `numpy.random.Generator`, the only source of randomness.

        Returns:
            Dict of arrays with the same keys, dtypes and shapes.
        """
        # Flip and noise are always drawn, so that no setting affects those of others.
        is_flipped = generator.uniform() < self.horizontal_flip
        audio = element["audio"]
        noise = generator.standard_normal(audio.shape, dtype=np.float32)
        deviation = np.float32(self.noise) * np.abs(audio).max()
        video = self._cropped(element["video"], generator)
        video = self._jittered(video, generator)
        video = video[:, :, ::-1] if is_flipped else video
        return element | {"video": video, "audio": audio + deviation * noise}

    def _jittered(self, frames, generator):
        if generator.uniform() < self.scale_jitter:
            frames = _jitter_scales(frames, generator)
        if generator.uniform() < self.color_jitter:
            frames = jitter_colors(frames, generator)
        return frames

    def _cropped(self, frames, generator):
        if not self.random_area_crop or generator.uniform() >= self.random_area_crop:
            return frames
        crop = random_area_crop(frames, generator)
        return resized_frames(crop, frames.shape[1:3])

    def get_config(self) -> dict:
        """Returns the arguments of this augmentation as a dict."""
        return dataclasses.asdict(self)

    @classmethod
    def from_config(cls, config: dict) -> ClipAugmentation:
        """Creates an augmentation from the result of `get_config`."""
        return cls(**config)


def _jitter_scales(frames, generator):
    """Scales height and width by random factors; returns a crop of the old size.

    As VATT scales the result until it just contains the crop, only the ratio of the
    factors matters: the crop is as high or as wide as the frame.
    """
    of_height, of_width = generator.uniform(*_SCALES, size=2)
    full_height, full_width = frames.shape[1:3]
    height = max(round(full_height * min(1, of_width / of_height)), 1)
    width = max(round(full_width * min(1, of_height / of_width)), 1)
    crop = random_crop(frames, height, width, generator)
    return resized_frames(crop, (full_height, full_width))
