"""Converts images to arrays of one size: files, their bytes, or arrays."""

import io
import os

import av
import numpy as np

from keras_vatt.data._report import Problem
from keras_vatt.data.decoding._dataset_entries import clip_of_entry
from keras_vatt.data.decoding._file_errors import LIBRARY_ERRORS, MediaError
from keras_vatt.data.decoding._frames import FrameResizer
from keras_vatt.data.decoding._limits import media_limits
from keras_vatt.data.decoding._media import check_pixels
from keras_vatt.data.decoding._raw_clips import is_raw
from keras_vatt.data.decoding._windows import crop_positions

_FORMATS = "bmp_pipe,gif,jpeg_pipe,png_pipe,tiff_pipe,webp_pipe"


def raw_images(images, size, num_crops=1):
    """Decodes images and crops them to one size.

    The shorter side is resized (bilinear) and the longer side cropped, as for frames of
    a video.

    Args:
        images: One image or a list of images, each a str or path of a PNG, JPEG, WebP,
            BMP, TIFF or GIF file (of which the first frame is used), its `bytes`, a
            binary file object, or a uint8 array `(height, width, 3)`; or a uint8
            array `(images, height, width, 3)`.
        size: int, height and width in pixels.
        num_crops: int. Crops of each image, spread evenly along its longer side; `1`
            is the center. Defaults to `1`.

    Returns:
        NumPy array of uint8, shape `(images * num_crops, size, size, 3)`, RGB, the
        crops of an image adjacent.

    Raises:
        MediaError: If a file is missing or can't be decoded.
        ValueError: If an array has another rank or dtype.
    """
    positions = crop_positions(num_crops)
    return np.concatenate(
        [_crops(image, size, positions) for image in list_of_images(images)]
    )


def list_of_images(images):
    """Returns one image, a list or an array of several as a sequence."""
    if isinstance(images, list) or getattr(images, "ndim", 3) != 3:
        return images
    return [images]


def is_raw_images(given, size):
    """Returns whether an input has to be decoded or resized first.

    Args:
        given: Any object.
        size: int, height and width of a uint8 batch that needs no resizing.

    Returns:
        bool.
    """
    if is_raw(given):
        return True
    if isinstance(given, list):
        return bool(given) and getattr(given[0], "ndim", 0) == 3
    if not isinstance(given, np.ndarray) or given.dtype != np.uint8:
        return False
    return given.ndim == 3 or (given.ndim == 4 and given.shape[1:3] != (size, size))


def _crops(image, size, positions):
    image = clip_of_entry(image)
    if isinstance(image, np.ndarray):
        return FrameResizer(1.0, size).crops(_frame_of_array(image), positions)
    name, content = _name_and_content(image)
    try:
        frame, codec = _first_frame(name, content)
        return FrameResizer(1.0, size, codec).crops(frame, positions)
    except (*LIBRARY_ERRORS, StopIteration) as error:
        reason = f"is not an image that can be decoded ({error})"
        raise MediaError(name, Problem.CORRUPT, reason) from error


def _frame_of_array(image):
    if image.ndim != 3 or image.shape[-1] != 3 or image.dtype != np.uint8:
        raise ValueError(
            "A raw image must be a path, bytes, or a uint8 array of shape "
            f"(height, width, 3). Received: {image.dtype} of shape {image.shape}"
        )
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24")


def _first_frame(name, content):
    """Returns the first frame of an image file, and the name of its codec."""
    limit = {"max_pixels": str(media_limits().max_pixels)}
    # From memory, since FFmpeg could take the name of a file for a pattern of names.
    with av.open(
        io.BytesIO(content),
        options=limit,
        container_options={"format_whitelist": _FORMATS},
    ) as container:
        stream = container.streams.video[0]
        check_pixels(name, stream)
        stream.codec_context.options = limit
        return next(container.decode(stream)), stream.codec_context.name


def _name_and_content(image):
    if isinstance(image, bytes):
        return f"<{len(image)} bytes>", image
    if hasattr(image, "read"):
        return str(getattr(image, "name", image)), image.read()
    if not isinstance(image, str | os.PathLike):
        raise ValueError(
            "A raw image must be a path, bytes, or a uint8 array of shape "
            f"(height, width, 3). Received: {type(image).__name__}"
        )
    try:
        with open(image, "rb") as file:
            return os.fspath(image), file.read()
    except OSError as error:
        problem = Problem.MISSING
        raise MediaError(
            os.fspath(image), problem, f"can't be read ({error})"
        ) from error
