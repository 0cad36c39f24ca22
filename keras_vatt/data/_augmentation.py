"""Random changes to a clip, drawn on the host, for pre-training."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class ClipAugmentation:
    """Noise on the sound, and on request mirrored pictures.

    Color jitter and normalization are cheaper on the device, where the frames are
    needed as floats anyway; frames stay uint8 here.

    Args:
        noise: float, standard deviation of Gaussian noise that is added to the
            waveform, as a share of its largest absolute sample. Defaults to `0.01`,
            as in pre-training of VATT.
        mirror: float, probability that the pictures of a clip are mirrored left to
            right. VATT mirrors with `0.5`; that is wrong where captions tell left
            from right. Defaults to `0.0`.

    Raises:
        ValueError: If `noise` is negative or `mirror` is no probability.

    Example:
    ```python
    import numpy as np
    from keras_vatt.data import ClipAugmentation

    element = {
        "video": np.zeros((4, 32, 32, 3), np.uint8),
        "audio": np.ones((800, 1), np.float32),
    }
    augmentation = ClipAugmentation(noise=0.01, mirror=0.5)
    element = augmentation(element, np.random.default_rng(0))
    ```
    """

    noise: float = 0.01
    mirror: float = 0.0

    def __post_init__(self):
        if not 0 <= self.noise < float("inf"):
            raise ValueError(f"`noise` must not be negative. Received: {self.noise}")
        if not 0 <= self.mirror <= 1:
            raise ValueError(f"`mirror` must lie in [0, 1]. Received: {self.mirror}")

    def __call__(self, element, generator):
        """Return a changed copy of an element.

        Args:
            element: dict of arrays with `video` and `audio`, see `ClipSource`.
            generator: `numpy.random.Generator`, the only source of randomness.

        Returns:
            A dict with the same keys, dtypes and shapes.
        """
        # Both are drawn in any case, so that one setting doesn't change the other.
        mirrored = generator.uniform() < self.mirror
        audio = element["audio"]
        noise = generator.standard_normal(audio.shape, dtype=np.float32)
        deviation = np.float32(self.noise) * np.abs(audio).max()
        video = element["video"][:, :, ::-1] if mirrored else element["video"]
        return element | {"video": video, "audio": audio + deviation * noise}

    def get_config(self):
        """Return the arguments that make this augmentation, as a dict."""
        return dataclasses.asdict(self)

    @classmethod
    def from_config(cls, config):
        """Make an augmentation from what `get_config` returned."""
        return cls(**config)
