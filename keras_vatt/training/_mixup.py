"""Mixup of the clips of a batch, and of their labels."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class Mixup:
    """Mixes each clip of a batch with another one, and their labels likewise.

    With a fraction `s`, drawn from `Beta(alpha, alpha)` for each clip, the result is
    `s * clip + (1 - s) * partner`, and the same for labels. Partners are the batch
    in a random order. VATT is fine-tuned on AudioSet with it, by the default `alpha`;
    `keras.layers.MixUp` takes images only. A loss with label smoothing gives the
    same result as smoothing the labels before mixup.

    See "mixup: Beyond Empirical Risk Minimization", https://arxiv.org/abs/1710.09412.

    Args:
        alpha: float. Concentration of the fractions: near 0 or 1 if it is small, near
            1/2 if it is large. Defaults to `5.0`.

    Raises:
        ValueError: if `alpha` is not positive.

    Example:
    ```python
    import numpy as np

    mixup = keras_vatt.training.Mixup()
    clips = np.random.uniform(-1, 1, (4, 9600, 1)).astype("float32")
    clips, labels = mixup(clips, np.eye(4), np.random.default_rng(0))
    labels.sum(axis=1)  # all 1
    # classifier.fit(files, labels, mixup=keras_vatt.training.Mixup())
    ```
    """

    alpha: float = 5.0

    def __post_init__(self):
        if not 0 < self.alpha < float("inf"):
            raise ValueError(f"`alpha` must be positive. Received: alpha={self.alpha}")

    def __call__(
        self, clips: Any, labels: Any, generator: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Mixes a batch.

        Args:
            clips: array of shape `(batch, ...)`; uint8 frames become float32 in
                `[-1, 1]`, as VATT would make them.
            labels: array of shape `(batch, num_classes)`.
            generator: `numpy.random.Generator`, the only source of randomness.

        Returns:
            Tuple of float32 arrays, of the shape of `clips` and of shape
            `(batch, num_classes)`.

        Raises:
            ValueError: if labels do not have one row per clip and one number per class.
        """
        clips, labels = _floats(clips), np.asarray(labels, np.float32)
        if labels.ndim != 2 or len(clips) != len(labels):
            raise ValueError(
                "Mixup needs labels of shape (clips, num_classes). "
                f"Received: {len(clips)} clips and labels of shape {labels.shape}"
            )
        fraction = generator.beta(self.alpha, self.alpha, len(clips))
        partner = generator.permutation(len(clips))
        return _mixed(clips, fraction, partner), _mixed(labels, fraction, partner)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor as a dict."""
        return dataclasses.asdict(self)

    @classmethod
    def from_config(cls, config: dict[str, Any]):
        """Creates a mixup from the result of `get_config`."""
        return cls(**config)


def _floats(clips):
    clips = np.asarray(clips)
    if clips.dtype == np.uint8:
        return clips.astype(np.float32) / 127.5 - 1.0
    return clips.astype(np.float32)


def _mixed(arrays, fraction, partner):
    fraction = fraction.astype(np.float32).reshape(-1, *[1] * (arrays.ndim - 1))
    return fraction * arrays + (1 - fraction) * arrays[partner]
