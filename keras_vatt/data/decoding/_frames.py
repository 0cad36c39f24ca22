"""Decodes frames of a video by time: the frame that is shown at each moment."""

import itertools

import numpy as np

from keras_vatt.data._clip_spec import ClipSpec
from keras_vatt.data._report import Problem
from keras_vatt.data.decoding._filters import Scaler, at_rate
from keras_vatt.data.decoding._media import (
    TIME_TOLERANCE,
    Media,
    MediaSource,
    open_media,
)

# PyAV 18.1.0 frees the name of a color profile twice after the side data of a frame was
# read, which crashes the process.
_CODECS_WITH_NAMED_PROFILES = frozenset({"apng", "png"})


def decode_frames(
    source: MediaSource | Media,
    start: float,
    spec: ClipSpec,
    crop_position: float = 0.5,
) -> np.ndarray:
    """Decodes the frames of one clip.

    Frame `k` is the last one with a time stamp of at most
    `start + k / spec.frames_per_second` seconds. Each frame is rotated upright, its
    shorter side is resized to `spec.frame_size` (bilinear, with square pixels), and
    its longer side is cropped.

    A clip may begin before the first frame, or end after the last, by at most one
    frame period of the clip.

    Args:
        source: str or path of a file, its `bytes`, a binary file object, or an open
            `keras_vatt.data.Media`.
        start: float. Start of the clip, in seconds after the start of the file.
        spec: `keras_vatt.data.ClipSpec`.
        crop_position: float. Position of the crop along the longer side: `0` is the
            left or upper end, `1` the right or lower one. Defaults to `0.5`, the
            center.

    Returns:
        NumPy array of uint8, shape `(num_frames, frame_size, frame_size, 3)`, RGB.

    Raises:
        MediaError: If the file has no video, if it doesn't cover the clip, or if it
            is damaged between the key frame before the clip and the end of the clip,
            as far as the decoder notices: video has no checksums.

    Example:
    ```python
    from keras_vatt.data import ClipSpec, decode_frames, make_demo_corpus

    corpus = make_demo_corpus("demo", train_clips=2, test_clips=2, progress=False)
    spec = ClipSpec(num_frames=8, frame_size=64)
    decode_frames(corpus / "train" / "000000.mp4", 1.0, spec).shape  # (8, 64, 64, 3)
    ```
    """
    with open_media(source) as media:
        frames = decode_crops(media, start, spec, (crop_position,))[0]
        if len(frames) < spec.num_frames:
            wanted = f"{start:.2f} to {start + spec.duration:.2f} s"
            raise media.error(Problem.TOO_SHORT, f"has no frames for all of {wanted}")
    return frames


def decode_crops(media, start, spec, crop_positions):
    """Decodes the frames of one clip once, and crops them at several positions.

    Args:
        media: `keras_vatt.data.Media`.
        start: float, seconds after the start of the file.
        spec: `keras_vatt.data.ClipSpec`.
        crop_positions: sequence of floats, see `decode_frames`.

    Returns:
        NumPy array of uint8, shape `(crops, frames, frame_size, frame_size, 3)`, RGB,
        with fewer frames than `spec.num_frames` if the file ends earlier.

    Raises:
        MediaError: See `decode_frames`.
    """
    resizer = FrameResizer.of_media(media, spec.frame_size)
    crops = np.empty((len(crop_positions), *spec.video_shape), np.uint8)
    count = 0
    with media.translated_errors():
        for frame in itertools.islice(
            shown_frames(media, start, spec), spec.num_frames
        ):
            resizer.crops(frame, crop_positions, crops[:, count])
            count += 1
    if not count:
        return crops[:, :0]
    # Packets without data repeat the last frame, which may last for one more period.
    shown = (media.shown_until - start) * spec.frames_per_second + 1 + 1e-6
    end = max(count, min(spec.num_frames, int(shown)))
    crops[:, count:end] = crops[:, count - 1 : count]
    return crops[:, :end]


def shown_frames(media, start, spec):
    """Decodes the frame that is shown at each time of a clip.

    Args:
        media: `keras_vatt.data.Media`.
        start: float, seconds after the start of the file.
        spec: `keras_vatt.data.ClipSpec`.

    Returns:
        Iterator of `av.VideoFrame`, to the end of the file.

    Raises:
        MediaError: If the file has no video, or no frame at `start`.
    """
    frames = media.decode(media.video, start)
    first = next(frames, None)
    if first is None:
        return iter(())
    if media.time_of(first) > start + spec.frame_period:
        when = f"{start:.2f} s, before {media.time_of(first):.2f} s"
        raise media.error(Problem.TOO_SHORT, f"has no frame at {when}")
    clock_start = media.clock_of(start + TIME_TOLERANCE)
    frames = itertools.chain([first], frames)
    return at_rate(frames, clock_start, spec.frames_per_second)


class FrameResizer:
    """Converts frames of one stream to square RGB images.

    Args:
        pixel_aspect: float, width of a pixel over its height.
        size: int, height and width of the images.
        codec: str, FFmpeg's name of the codec of the stream. Defaults to `""`, for
            frames that were made from arrays.
    """

    def __init__(self, pixel_aspect, size, codec=""):
        self._pixel_aspect = pixel_aspect
        self._codec = codec
        self._size = size
        self._scaler = Scaler()
        self._last = None, None
        self._display = None, None

    @classmethod
    def of_media(cls, media, size):
        """Returns a resizer for the frames of a `keras_vatt.data.Media`."""
        # Anamorphic video has pixels that are not square.
        pixel_aspect = float(media.video.sample_aspect_ratio or 1)
        return cls(pixel_aspect, size, media.video.codec_context.name)

    def crops(self, frame, positions, out=None):
        """Resizes one frame and crops it.

        Args:
            frame: `av.VideoFrame`.
            positions: sequence of floats, see `crop_position` of `decode_frames`.
            out: NumPy array for the result. Defaults to `None`, a new one.

        Returns:
            NumPy array of uint8, shape `(positions, size, size, 3)`.
        """
        image, size = self.resized(frame), self._size
        shape = (len(positions), size, size, 3)
        crops = np.empty(shape, np.uint8) if out is None else out
        for crop, position in zip(crops, positions, strict=True):
            top, left = (round((side - size) * position) for side in image.shape[:2])
            crop[:] = image[top : top + size, left : left + size]
        return crops

    def _matrix_of(self, frame):
        """Returns the display matrix, which is read again if the rotation changes."""
        rotation, matrix = self._display
        if rotation != frame.rotation:
            matrix = display_matrix(frame, self._codec)
            self._display = frame.rotation, matrix
        return matrix

    def resized(self, frame):
        """Resizes the shorter side of one frame to `size`, and rotates it upright.

        Args:
            frame: `av.VideoFrame`.

        Returns:
            NumPy array of uint8, shape `(height, width, 3)`.
        """
        previous, image = self._last
        # No other frame can reuse the buffer of the previous one while that is kept.
        if previous is None or not _has_same_buffer(frame, previous):
            size = self._size
            shown_width = frame.width * self._pixel_aspect
            scale = size / min(shown_width, frame.height)
            width = max(size, round(shown_width * scale))
            height = max(size, round(frame.height * scale))
            image = self._scaler(frame, width, height)
            image = turned(image, frame.rotation, self._matrix_of(frame))
            self._last = frame, image
        return image


def upright(image, frame, codec):
    """Rotates and flips an image by the display matrix of its frame.

    Args:
        image: NumPy array of shape `(height, width, channels)`.
        frame: `av.VideoFrame` that the image was made from.
        codec: str, FFmpeg's name of the codec of its stream.

    Returns:
        NumPy array, a view.
    """
    return turned(image, frame.rotation, display_matrix(frame, codec))


def turned(image, rotation, matrix):
    """Rotates and flips an image.

    Args:
        image: NumPy array of shape `(height, width, channels)`.
        rotation: int, degrees of `av.VideoFrame.rotation`, used without a matrix.
        matrix: NumPy array of `display_matrix`, or `None`.

    Returns:
        NumPy array, a view.
    """
    if matrix is None:
        return np.rot90(image, round(rotation / 90))
    x_to_x, x_to_y, _, y_to_x, y_to_y = matrix
    if abs(x_to_x) + abs(y_to_y) < abs(x_to_y) + abs(y_to_x):
        image, x_to_x, y_to_y = image.swapaxes(0, 1), y_to_x, x_to_y
    image = image[:, ::-1] if x_to_x < 0 else image
    return image[::-1] if y_to_y < 0 else image


def display_matrix(frame, codec):
    """Returns the first five numbers of the display matrix of a frame, or `None`.

    Reading it makes a reference cycle, so that the frame takes memory until Python
    collects garbage.

    Args:
        frame: `av.VideoFrame`.
        codec: str, FFmpeg's name of the codec of its stream.
    """
    if codec in _CODECS_WITH_NAMED_PROFILES:
        return None
    try:
        matrix = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:  # PyAV doesn't support the side data of photos.
        return None
    return None if matrix is None else np.frombuffer(matrix, np.int32)[:5].tolist()


def _has_same_buffer(frame, other):
    return frame.planes[0].buffer_ptr == other.planes[0].buffer_ptr
