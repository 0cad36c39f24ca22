"""The shape of a clip: its frames, their rate and size, and its audio samples."""

from __future__ import annotations

import dataclasses
import math


@dataclasses.dataclass(frozen=True)
class ClipSpec:
    """The shape of a clip, with all times in seconds.

    The defaults are the pre-training input of VATT (arXiv 2104.11178, section 4):
    32 frames at 10 frames per second and the same 3.2 seconds of audio. Frames are
    chosen by time, so a video of any frame rate gives a clip of the same duration. (The
    original code strides over stored frames instead, and so pairs 2.56 seconds of a
    25 fps video with 3.2 seconds of audio.)

    Args:
        num_frames: int, frames in a clip. Defaults to `32`.
        frames_per_second: float, rate of the frames of the clip. Defaults to `10.0`.
        frame_size: int, height and width of a frame in pixels. Defaults to `224`.
        sampling_rate: int, rate of the waveform, in hertz. Defaults to `48_000`.
        audio_samples: int, samples in a waveform. Defaults to `None`, for a waveform
            as long as the frames: `num_frames / frames_per_second * sampling_rate`
            samples, rounded to the nearest integer.

    Raises:
        ValueError: If a number is not positive or not finite, or if a count is not
            an integer.

    Example:
    ```python
    from keras_vatt.data import ClipSpec

    spec = ClipSpec()
    spec.duration        # 3.2 seconds
    spec.audio_samples   # 153600
    ClipSpec(num_frames=16, frame_size=112).video_shape   # (16, 112, 112, 3)
    ```
    """

    num_frames: int = 32
    frames_per_second: float = 10.0
    frame_size: int = 224
    sampling_rate: int = 48_000
    audio_samples: int | None = None

    def __post_init__(self) -> None:
        _check_positive("frames_per_second", self.frames_per_second)
        object.__setattr__(self, "frames_per_second", float(self.frames_per_second))
        for name in ("num_frames", "frame_size", "sampling_rate"):
            _check_count(name, getattr(self, name))
        if self.audio_samples is None:
            samples = round(self.duration * self.sampling_rate)
            object.__setattr__(self, "audio_samples", samples)
        _check_count("audio_samples", self.audio_samples)

    @property
    def duration(self) -> float:
        """Duration of the frames of a clip, in seconds."""
        return self.num_frames / self.frames_per_second

    @property
    def frame_period(self) -> float:
        """Time from one frame of a clip to the next, in seconds."""
        return 1.0 / self.frames_per_second

    @property
    def video_shape(self) -> tuple[int, int, int, int]:
        """Shape of the frames of a clip: `(num_frames, size, size, 3)`."""
        return (self.num_frames, self.frame_size, self.frame_size, 3)

    def get_config(self) -> dict:
        """Returns the arguments of this specification as a dict."""
        return dataclasses.asdict(self)

    @classmethod
    def from_config(cls, config: dict) -> ClipSpec:
        """Creates a specification from the result of `get_config`."""
        return cls(**config)


def _check_positive(name, value):
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value <= 0:
        raise ValueError(f"`{name}` must be a positive number. Received: {value!r}")


def _check_count(name, value):
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"`{name}` must be a positive integer. Received: {value!r}")
