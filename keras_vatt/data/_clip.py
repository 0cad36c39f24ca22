"""A decoded clip, and the function that decodes one."""

import dataclasses

import numpy as np

from keras_vatt.data._clip_spec import ClipSpec
from keras_vatt.data._report import Problem
from keras_vatt.data.decoding._extents import (
    decode_extent_frames,
    decode_extent_waveform,
)
from keras_vatt.data.decoding._file_errors import MediaError
from keras_vatt.data.decoding._media import Media, MediaSource, open_media
from keras_vatt.data.decoding._short_clips import check_short_clips


@dataclasses.dataclass(frozen=True, eq=False)
class Clip:
    """Frames, waveform and captions of a few seconds of a file.

    Args:
        frames: NumPy array of uint8, shape `(num_frames, size, size, 3)`.
        waveform: NumPy array of float32, shape `(audio_samples,)`, or `None` if the
            clip has no audio.
        captions: List of str, the caption of the clip first; empty if it has none.
    """

    frames: np.ndarray
    waveform: np.ndarray | None
    captions: list[str]


def decode_clip(
    source: MediaSource | Media,
    start: float,
    spec: ClipSpec,
    crop_position: float = 0.5,
    short_clips: str = "repeat",
) -> tuple[np.ndarray, np.ndarray | None]:
    """Decodes the frames and the audio of one clip.

    Args:
        source: str or path of a file, its `bytes`, a binary file object, or an open
            `keras_vatt.data.Media`.
        start: float. Start of the clip, in seconds after the start of the file.
        spec: `keras_vatt.data.ClipSpec`.
        crop_position: float in `[0, 1]`, see `decode_frames`. Defaults to `0.5`.
        short_clips: str. How a clip is filled if the file ends before it: `"repeat"`
            starts over from `start`, as the original data pipeline does, `"pad"`
            appends black frames and silence, `"error"` raises. Defaults to
            `"repeat"`.

    Returns:
        Tuple of the frames, see `decode_frames`, and of the waveform, see
        `decode_waveform`; the latter is `None` if the file has no audio.

    Raises:
        MediaError: If the file has no video, is damaged, ends before `start`, or is
            too short and `short_clips` is `"error"`.
        ValueError: If `short_clips` is unknown.

    Example:
    ```python
    from keras_vatt.data import ClipSpec, decode_clip, make_demo_corpus

    corpus = make_demo_corpus("demo", train_clips=2, test_clips=2, progress=False)
    spec = ClipSpec(num_frames=8, frame_size=64)
    frames, waveform = decode_clip(corpus / "train" / "000000.mp4", 1.0, spec)
    ```
    """
    check_short_clips(short_clips)
    with open_media(source) as media:
        extent = (media, start, media.info().end, spec)
        frames = decode_extent_frames(*extent, (crop_position,), short_clips)[0]
        try:
            return frames, decode_extent_waveform(*extent, short_clips)
        except MediaError as error:
            if error.problem is Problem.NO_AUDIO:
                return frames, None
            raise
