"""A stretch of time of a file of video or sound."""

import dataclasses
import os


@dataclasses.dataclass(frozen=True)
class MediaSegment:
    """A stretch of a media file, which is a raw clip wherever a path is one.

    Args:
        path: string or path of a file of video or sound.
        start: float. Where it starts, in seconds of the file's own clock. Defaults to
            `None`, the start of the file.
        end: float. Where it ends, in seconds. Defaults to `None`, the end of the file.

    Raises:
        ValueError: if it ends before it starts.

    Example:
    ```python
    from keras_vatt.data import MediaSegment

    MediaSegment("cooking.mp4", start=12.0, end=19.5)
    ```
    """

    path: str | os.PathLike
    start: float | None = None
    end: float | None = None

    def __post_init__(self):
        if self.start is not None and self.end is not None and self.end <= self.start:
            raise ValueError(
                f"A segment ends after its start. Received: start={self.start}, "
                f"end={self.end} of {os.fspath(self.path)!r}"
            )
