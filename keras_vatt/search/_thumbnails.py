"""A small image of a window: its middle frame, or the loudness of its audio."""

import io

import numpy as np
from PIL import Image

from keras_vatt.data._clip_spec import ClipSpec
from keras_vatt.data._report import Problem
from keras_vatt.data.decoding._file_errors import any_error_of
from keras_vatt.data.decoding._frames import upright
from keras_vatt.data.decoding._loudness import loudness_svg
from keras_vatt.data.decoding._media import open_media
from keras_vatt.data.decoding._waveform import decode_waveform

_LARGEST = (480, 480)  # Pixels of width and height.
_RATE = 8_000
_LONGEST = 60.0  # Seconds of audio that are drawn at most.


def thumbnail(path, start: float, end: float) -> tuple[bytes, str]:
    """Draws a window of a file.

    Args:
        path: string or path of a video or audio file.
        start: float, seconds after the start of the file.
        end: float, seconds.

    Returns:
        Tuple of bytes and of their media type: a JPEG of the frame in the middle, or
        for a file without video an SVG of the loudness.

    Raises:
        keras_vatt.data.MediaError: if the file can't be decoded, whatever the reason.
    """
    with any_error_of(path), open_media(path) as media:
        if media.info().has_video:
            return _jpeg(_image_at(media, (start + end) / 2)), "image/jpeg"
        seconds = min(end - start, _LONGEST)
        spec = ClipSpec(sampling_rate=_RATE, audio_samples=max(1, int(seconds * _RATE)))
        drawing = loudness_svg(decode_waveform(media, start, spec))
        return drawing.encode(), "image/svg+xml"


def _image_at(media, time):
    """Returns the last frame that is shown no later than a time, upright."""
    shown = None
    for frame in media.decode(media.video, time):
        if shown is not None and media.time_of(frame) > time:
            break
        shown = frame
    if shown is None:
        raise media.error(Problem.NO_VIDEO, "has no frame that can be shown")
    with media.translated_errors():
        pixels = shown.to_ndarray(format="rgb24")
    codec = media.video.codec_context.name
    image = Image.fromarray(np.ascontiguousarray(upright(pixels, shown, codec)))
    # A damaged header may promise pixels of any shape: only the small image is made.
    width = image.width * float(media.video.sample_aspect_ratio or 1)
    scale = min(_LARGEST[0] / width, _LARGEST[1] / image.height, 1.0)
    size = (width * scale, image.height * scale)
    return image.resize([max(1, round(side)) for side in size])


def _jpeg(image):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=88)
    return file.getvalue()
