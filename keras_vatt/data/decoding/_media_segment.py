"""A part of a video or audio file."""

import dataclasses
import os


@dataclasses.dataclass(frozen=True)
class MediaSegment:
    """A part of a media file. It is accepted as a clip wherever a path is.

    Args:
        path: string or path of a video or audio file.
        start: float. The start of the segment, in seconds of the file's time stamps.
            Defaults to `None`, the start of the file.
        end: float. The end of the segment, in seconds. Defaults to `None`, the end of
            the file.

    Raises:
        ValueError: if the end is not after the start.

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
                "`end` must be greater than `start`. Received: "
                f"start={self.start}, end={self.end} for {os.fspath(self.path)!r}"
            )
