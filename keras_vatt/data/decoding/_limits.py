"""Limits on the memory that a media file may make this library allocate."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class MediaLimits:
    """Limits on media files, checked before memory of that size is allocated.

    Args:
        max_pixels: int. Largest number of pixels of a frame or an image. Defaults to
            `2**26`, such as 8192 x 8192; a frame of 8K video has 33 million.

    Raises:
        ValueError: If `max_pixels` is not a positive integer.

    Example:
    ```python
    from keras_vatt.data import MediaLimits, set_media_limits

    previous = set_media_limits(MediaLimits(max_pixels=2**28))
    set_media_limits(previous)
    ```
    """

    max_pixels: int = 2**26

    def __post_init__(self) -> None:
        value = self.max_pixels
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ValueError(
                f"`max_pixels` must be a positive integer. Received: {value!r}"
            )


_limits = MediaLimits()


def media_limits() -> MediaLimits:
    """Returns the `MediaLimits` that apply to this process.

    Example:
    ```python
    from keras_vatt.data import media_limits

    media_limits().max_pixels  # 67108864
    ```
    """
    return _limits


def set_media_limits(limits: MediaLimits) -> MediaLimits:
    """Sets the limits of this process, for all its threads.

    Args:
        limits: `MediaLimits`.

    Returns:
        The previous `MediaLimits`.

    Raises:
        ValueError: If `limits` is not a `MediaLimits`.

    Example:
    ```python
    from keras_vatt.data import MediaLimits, set_media_limits

    set_media_limits(MediaLimits())  # The defaults.
    ```
    """
    global _limits
    if not isinstance(limits, MediaLimits):
        raise ValueError(f"`limits` must be a MediaLimits. Received: {limits!r}")
    previous, _limits = _limits, limits
    return previous
