"""Mixup of the clips of a batch, and of their labels."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class Mixup:
    """Each clip of a batch plus another one, and their labels likewise.

    With a share `s` of a clip, drawn from `Beta(alpha, alpha)` for each clip, the
    result is `s * clip + (1 - s) * partner`, and so for labels. Partners are the batch
    in a random order. VATT is fine-tuned on AudioSet with it, by the default `alpha`;
    `keras.layers.MixUp` takes pictures only. A loss that smooths labels may follow:
    smoothing what is mixed and mixing what is smoothed are the same.

    See "mixup: Beyond Empirical Risk Minimization", https://arxiv.org/abs/1710.09412.

    Args:
        alpha: float. How even the shares are: they come near 0 or 1 if it is small,
            near 1/2 if it is large. Defaults to `5.0`.

    Raises:
        ValueError: if `alpha` is not positive.

    Example:
    ```python
    import numpy as np

    mixup = keras_vatt.training.Mixup()
    sounds = np.random.uniform(-1, 1, (4, 9600, 1)).astype("float32")
    sounds, labels = mixup(sounds, np.eye(4), np.random.default_rng(0))
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
        """A mixed batch.

        Args:
            clips: array of shape `(batch, ...)`; uint8 frames become float32 in
                `[-1, 1]`, as VATT would make them.
            labels: array of shape `(batch, num_classes)`.
            generator: `numpy.random.Generator`, the only source of randomness.

        Returns:
            Tuple of float32 arrays, of the shape of `clips` and of shape
            `(batch, num_classes)`.

        Raises:
            ValueError: if labels are no rows with a number for each class, or not as
                many as clips.
        """
        clips, labels = _floats(clips), np.asarray(labels, np.float32)
        if labels.ndim != 2 or len(clips) != len(labels):
            raise ValueError(
                "Mixed labels are rows with a number for each class, one for each "
                f"clip. Received: {len(clips)} clips and labels of shape {labels.shape}"
            )
        share = generator.beta(self.alpha, self.alpha, len(clips))
        partner = generator.permutation(len(clips))
        return _mixed(clips, share, partner), _mixed(labels, share, partner)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make this mixup, as a dict."""
        return dataclasses.asdict(self)

    @classmethod
    def from_config(cls, config: dict[str, Any]):
        """Make a mixup from what `get_config` returned."""
        return cls(**config)


def _floats(clips):
    clips = np.asarray(clips)
    if clips.dtype == np.uint8:
        return clips.astype(np.float32) / 127.5 - 1.0
    return clips.astype(np.float32)


def _mixed(arrays, share, partner):
    share = share.astype(np.float32).reshape(-1, *[1] * (arrays.ndim - 1))
    return share * arrays + (1 - share) * arrays[partner]
