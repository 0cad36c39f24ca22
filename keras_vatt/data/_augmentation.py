"""Random augmentation of a clip on the host, for pre-training."""

from __future__ import annotations

import dataclasses

import numpy as np

from keras_vatt.data._clip_elements import Element


@dataclasses.dataclass(frozen=True)
class ClipAugmentation:
    """Random noise on the audio and random horizontal flips of the frames.

    Frames stay uint8: color jitter and normalization are cheaper on the device, which
    needs the frames as floats anyway.

    Args:
        noise: float. Standard deviation of Gaussian noise that is added to the
            waveform, as a fraction of its largest absolute sample. Defaults to
            `0.01`, as in pre-training of VATT.
        horizontal_flip: float. Probability that the frames of a clip are flipped
            horizontally. VATT uses `0.5`, which is wrong if captions distinguish left
            and right. Defaults to `0.0`.

    Raises:
        ValueError: If `noise` is negative, or `horizontal_flip` is not a probability.

    Example:
    ```python
    import numpy as np
    from keras_vatt.data import ClipAugmentation

    element = {
        "video": np.zeros((4, 32, 32, 3), np.uint8),
        "audio": np.ones((800, 1), np.float32),
    }
    augmentation = ClipAugmentation(noise=0.01, horizontal_flip=0.5)
    element = augmentation(element, np.random.default_rng(0))
    ```
    """

    noise: float = 0.01
    horizontal_flip: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.noise < float("inf"):
            raise ValueError(f"`noise` must not be negative. Received: {self.noise}")
        if not 0 <= self.horizontal_flip <= 1:
            raise ValueError(
                "`horizontal_flip` must lie in [0, 1]. "
                f"Received: {self.horizontal_flip}"
            )

    def __call__(self, element: Element, generator: np.random.Generator) -> Element:
        """Returns an augmented copy of an element.

        Args:
            element: Dict of arrays with `video` and `audio`, see `ClipSource`.
            generator: `numpy.random.Generator`, the only source of randomness.

        Returns:
            Dict of arrays with the same keys, dtypes and shapes.
        """
        # Both are always drawn, so that one setting doesn't affect the other.
        is_flipped = generator.uniform() < self.horizontal_flip
        audio = element["audio"]
        noise = generator.standard_normal(audio.shape, dtype=np.float32)
        deviation = np.float32(self.noise) * np.abs(audio).max()
        video = element["video"][:, :, ::-1] if is_flipped else element["video"]
        return element | {"video": video, "audio": audio + deviation * noise}

    def get_config(self) -> dict:
        """Returns the arguments of this augmentation as a dict."""
        return dataclasses.asdict(self)

    @classmethod
    def from_config(cls, config: dict) -> ClipAugmentation:
        """Creates an augmentation from the result of `get_config`."""
        return cls(**config)
