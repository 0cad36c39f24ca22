"""Encodes frames as JPEG images and decodes them, with FFmpeg's codec."""

from __future__ import annotations

import fractions

import av
import numpy as np
from av.video.reformatter import ColorRange, VideoReformatter

from keras_vatt.data.decoding._limits import media_limits

# FFmpeg's scale of the quantizer, from 1: files of about half the size that libjpeg
# writes at quality 95, and a signal-to-noise ratio that is half a decibel lower.
_QUANTIZER = 2


class JpegEncoder:
    """Encodes images of one size.

    Args:
        height: int, in pixels.
        width: int, in pixels.
    """

    def __init__(self, height: int, width: int) -> None:
        context = av.CodecContext.create("mjpeg", "w")
        context.height, context.width = height, width
        context.pix_fmt = "yuvj420p"
        context.time_base = fractions.Fraction(1, 1)
        context.thread_count = 1
        context.qmin = context.qmax = _QUANTIZER
        self._context = context
        self._reformatter = VideoReformatter()
        self._count = 0

    def __call__(self, image: np.ndarray) -> bytes:
        """Returns the JPEG file of one image, uint8 of shape `(height, width, 3)`."""
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24")
        frame = self._reformatter.reformat(
            frame, format="yuvj420p", dst_color_range=ColorRange.JPEG, threads=1
        )
        frame.pts = self._count
        self._count += 1
        (packet,) = self._context.encode(frame)
        return bytes(packet)


class JpegDecoder:
    """Decodes JPEG images, in any order of sizes."""

    def __init__(self) -> None:
        self._context = av.CodecContext.create("mjpeg", "r")
        self._context.thread_count = 1
        # Without `explode`, damaged images would be decoded to gray blocks.
        limit = str(media_limits().max_pixels)
        self._context.options = {"max_pixels": limit, "err_detect": "explode"}

    def __call__(self, data: bytes) -> av.VideoFrame:
        """Returns the decoded frame of one JPEG file.

        Raises:
            av.FFmpegError: If the image is damaged.
            ValueError: If the data has no image.
        """
        frames = self._context.decode(av.Packet(data))
        if len(frames) != 1:
            raise ValueError("it is not a JPEG image")
        return frames[0]
