"""Writes a clip to an mp4 file."""

import fractions
import os
import pathlib

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from keras_vatt._files import atomic_write


def encode_clip(
    path: str | os.PathLike[str],
    frames: np.ndarray,
    frames_per_second: int,
    waveform: np.ndarray,
    sampling_rate: int,
) -> None:
    """Writes frames and a waveform to an mp4 file with H.264 video and AAC audio.

    The same arguments give the same bytes. The write is atomic.

    Args:
        path: str or path of the file.
        frames: NumPy array of uint8, shape `(frames, height, width, 3)`, RGB, with an
            even height and width.
        frames_per_second: int.
        waveform: NumPy array of float32, shape `(samples,)`, in `[-1, 1]`.
        sampling_rate: int, in hertz; one that AAC supports, such as 48,000.

    Example:
    ```python
    import numpy as np
    from keras_vatt.data import encode_clip

    frames = np.zeros((20, 64, 64, 3), np.uint8)
    encode_clip("black.mp4", frames, 10, np.zeros(96_000, np.float32), 48_000)
    ```
    """
    path = pathlib.Path(path)
    with (
        atomic_write(path) as partial,
        av.open(str(partial), "w", format="mp4") as container,
    ):
        video = container.add_stream("libx264", rate=frames_per_second)
        video.height, video.width = frames.shape[1:3]
        video.pix_fmt = "yuv420p"
        # Clips are written in parallel: one thread each. Speed matters more than size.
        video.options = {"preset": "ultrafast", "crf": "20", "threads": "1"}
        audio = container.add_stream("aac", rate=sampling_rate, layout="mono")
        audio.options = {"aac_coder": "fast"}
        _encode_video(container, video, frames, frames_per_second)
        _encode_audio(container, audio, waveform, sampling_rate)


def _encode_video(container, stream, frames, frames_per_second):
    reformatter = VideoReformatter()
    for number, pixels in enumerate(frames):
        image = av.VideoFrame.from_ndarray(pixels, format="rgb24")
        image = reformatter.reformat(image, format="yuv420p", threads=1)
        image.pts, image.time_base = number, fractions.Fraction(1, frames_per_second)
        container.mux(stream.encode(image))
    container.mux(stream.encode(None))


def _encode_audio(container, stream, waveform, sampling_rate):
    frame = av.AudioFrame.from_ndarray(waveform[None], format="fltp", layout="mono")
    frame.pts, frame.sample_rate = 0, sampling_rate
    frame.time_base = fractions.Fraction(1, sampling_rate)
    container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
