"""What one clip is: how many frames, how often, how large, how much sound."""

import dataclasses
import math


@dataclasses.dataclass(frozen=True)
class ClipSpec:
    """The shape of a clip, with all times in seconds.

    The defaults are the pre-training input of VATT (arXiv 2104.11178, section 4):
    32 frames at 10 frames per second and the 3.2 seconds of sound that go with
    them. Frames are chosen by time, so a video of any frame rate gives a clip of the
    same duration. (The original code strides over stored frames instead, and so
    reads 2.56 seconds of a 25 fps video beside 3.2 seconds of sound.)

    Args:
        num_frames: int, frames in a clip. Defaults to `32`.
        frames_per_second: float, how many of them show one second. Defaults to
            `10.0`.
        frame_size: int, height and width of a frame in pixels. Defaults to `224`.
        sampling_rate: int, samples of the waveform per second, in hertz. Defaults to
            `48_000`.
        audio_samples: int, samples in a waveform. `None` stands for the samples of
            the same seconds, `num_frames / frames_per_second * sampling_rate`
            rounded to the nearest integer. Defaults to `None`.

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

    def __post_init__(self):
        _check_positive("frames_per_second", self.frames_per_second)
        object.__setattr__(self, "frames_per_second", float(self.frames_per_second))
        for name in ("num_frames", "frame_size", "sampling_rate"):
            _check_count(name, getattr(self, name))
        if self.audio_samples is None:
            samples = round(self.duration * self.sampling_rate)
            object.__setattr__(self, "audio_samples", samples)
        _check_count("audio_samples", self.audio_samples)

    @property
    def duration(self):
        """Seconds that the frames of a clip show, a float."""
        return self.num_frames / self.frames_per_second

    @property
    def frame_period(self):
        """Seconds from one frame of a clip to the next, a float."""
        return 1.0 / self.frames_per_second

    @property
    def video_shape(self):
        """Shape of the frames of a clip: `(num_frames, size, size, 3)`."""
        return (self.num_frames, self.frame_size, self.frame_size, 3)

    def get_config(self):
        """Return the arguments that make this specification, as a dict."""
        return dataclasses.asdict(self)

    @classmethod
    def from_config(cls, config):
        """Make a specification from what `get_config` returned."""
        return cls(**config)


def _check_positive(name, value):
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value <= 0:
        raise ValueError(f"`{name}` must be a positive number. Received: {value!r}")


def _check_count(name, value):
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"`{name}` must be a positive integer. Received: {value!r}")
