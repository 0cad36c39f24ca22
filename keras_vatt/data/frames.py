"""Frames of a video by time: the picture that is shown at each moment."""

import numpy as np
from av.video.reformatter import VideoReformatter

from keras_vatt.data.media import TIME_TOLERANCE, open_media
from keras_vatt.data.report import Problem


def decode_frames(source, start, spec, crop_position=0.5):
    """Decode the frames of one clip.

    Frame `k` is the one that is shown at `start + k / spec.frames_per_second`
    seconds: the last whose time stamp is not later. The picture is turned upright,
    its shorter side is resized to `spec.frame_size` (bilinear, with square pixels),
    and the longer side is cropped.

    A clip that begins before the first frame, or ends after the last, is accepted
    for as much as one period of its own frame rate.

    Args:
        source: str or path of a file, its `bytes`, a binary file object, or an open
            `keras_vatt.data.Media`.
        start: float, seconds after the start of the file.
        spec: `keras_vatt.data.ClipSpec`.
        crop_position: float, where the crop lies along the longer side: `0` is the
            left or upper end, `1` the right or lower one. Defaults to `0.5`, the
            centre.

    Returns:
        NumPy array of uint8, shape `(num_frames, frame_size, frame_size, 3)`, RGB.

    Raises:
        MediaError: If the file has no video, if it doesn't cover the clip, or if it
            is damaged between the key frame before the clip and the clip's end, as
            far as the decoder notices: video has no checksums.

    Example:
    ```python
    from keras_vatt.data import ClipSpec, decode_frames, make_demo_corpus

    corpus = make_demo_corpus("demo", train_clips=2, test_clips=2, progress=False)
    spec = ClipSpec(num_frames=8, frame_size=64)
    decode_frames(corpus / "train" / "000000.mp4", 1.0, spec).shape  # (8, 64, 64, 3)
    ```
    """
    return decode_crops(source, start, spec, (crop_position,))[0]


def decode_crops(source, start, spec, crop_positions):
    """Decode the frames of one clip once, and crop them in several places.

    Args:
        source: see `decode_frames`.
        start: float, seconds after the start of the file.
        spec: `keras_vatt.data.ClipSpec`.
        crop_positions: sequence of floats, see `decode_frames`.

    Returns:
        NumPy array of uint8, shape
        `(crops, num_frames, frame_size, frame_size, 3)`, RGB.

    Raises:
        MediaError: see `decode_frames`.
    """
    times = start + np.arange(spec.num_frames) * spec.frame_period
    images = np.empty((len(crop_positions), *spec.video_shape), np.uint8)
    filled = 0
    with open_media(source) as media:
        # Anamorphic video has pixels that are not square.
        pixel_aspect = float(media.video.sample_aspect_ratio or 1)
        resizer = FrameResizer(pixel_aspect, spec.frame_size)
        for frame, until in _shown_frames(media, start, spec.frame_period):
            end = np.searchsorted(times, until - TIME_TOLERANCE)
            if end > filled:
                crops = resizer.crops(frame, crop_positions)
                images[:, filled:end] = crops[:, np.newaxis]
                filled = end
            if filled == spec.num_frames:
                return images
        wanted = f"{start:.2f} to {start + spec.duration:.2f} s"
        raise media.error(Problem.TOO_SHORT, f"has no frames for all of {wanted}")


def _shown_frames(media, start, grace):
    """Yield each frame with the time until which it is shown.

    The last frame is shown for its own duration and `grace` seconds more, and the
    first frame may come `grace` seconds after `start`.
    """
    shown = None
    for frame in media.decode(media.video, start):
        time = media.time_of(frame)
        if shown is None and time > start + grace:
            reason = f"shows nothing at {start:.2f} s, before {time:.2f} s"
            raise media.error(Problem.TOO_SHORT, reason)
        if shown is not None:
            if time < media.time_of(shown):
                reason = f"has time stamps that run backwards at {time:.2f} s"
                raise media.error(Problem.CORRUPT, reason)
            yield shown, time
        shown = frame
    if shown is not None:
        yield shown, media.time_of(shown) + _duration(shown, media.video) + grace


def _duration(frame, stream):
    if frame.duration:
        return float(frame.duration * frame.time_base)
    return float(1 / stream.average_rate) if stream.average_rate else 0.0


class FrameResizer:
    """Turns frames of one stream into square RGB images.

    Args:
        pixel_aspect: float, width of a pixel over its height.
        size: int, height and width of the images.
    """

    def __init__(self, pixel_aspect, size):
        self._pixel_aspect = pixel_aspect
        self._size = size
        # It keeps its filters from one frame to the next.
        self._reformatter = VideoReformatter()

    def crops(self, frame, positions):
        """Images of one frame.

        Args:
            frame: `av.VideoFrame`.
            positions: sequence of floats, see `crop_position` of `decode_frames`.

        Returns:
            NumPy array of uint8, shape `(positions, size, size, 3)`.
        """
        image, size = self._resized(frame), self._size
        crops = np.empty((len(positions), size, size, 3), np.uint8)
        for crop, position in zip(crops, positions, strict=True):
            top, left = (round((side - size) * position) for side in image.shape[:2])
            crop[:] = image[top : top + size, left : left + size]
        return crops

    def _resized(self, frame):
        size = self._size
        shown_width = frame.width * self._pixel_aspect
        scale = size / min(shown_width, frame.height)
        resized = self._reformatter.reformat(
            frame,
            width=max(size, round(shown_width * scale)),
            height=max(size, round(frame.height * scale)),
            format="rgb24",
            interpolation="BILINEAR",
            # Other clips are decoded at the same time; see `Media`.
            threads=1,
        )
        return np.rot90(resized.to_ndarray(), round(frame.rotation / 90))
