"""The form in which clips are stored, and the encoding of media in this form."""

import dataclasses
import itertools
import math
from collections.abc import Iterator

from keras_vatt._setting_fields import setting
from keras_vatt.data._clip_spec import ClipSpec
from keras_vatt.data._clip_starts import is_short_file, length_reason, possible_starts
from keras_vatt.data._manifest import Segment
from keras_vatt.data._report import Problem
from keras_vatt.data.decoding._extents import check_found
from keras_vatt.data.decoding._file_errors import MediaError
from keras_vatt.data.decoding._frames import FrameResizer, shown_frames
from keras_vatt.data.decoding._media import Media
from keras_vatt.data.decoding._waveform import decode_samples, is_silent
from keras_vatt.data.shards._errors import ShardError
from keras_vatt.data.shards._jpegs import JpegEncoder
from keras_vatt.data.shards._pcm import dequantized, quantized
from keras_vatt.data.shards._stored_clip import StoredFrames


@dataclasses.dataclass(frozen=True)
class StoredForm:
    """The form in which clips are stored.

    The defaults are those of DMVR and of VATT's HowTo100M.

    Args:
        frames_per_second: float. Defaults to `10.0`.
        frame_size: int. Shorter side of the frames in pixels. Defaults to `256`.
        sampling_rate: int. Rate of the waveform, in hertz. Defaults to `48_000`.
        min_seconds: float. Shorter segments are widened around their center, within
            the file. Defaults to `3.2`, the input of VATT.
        max_seconds: float. Longer segments are cut into equal parts. Defaults to
            `10.0`.
        candidates: int. Captions that are stored for each clip: its own, and the
            nearest ones in time, see `keras_vatt.data.nearest_captions`. Defaults to
            `5`.

    Raises:
        ShardError: If a number is not positive, or `max_seconds` is less than twice
            `min_seconds`.
    """

    frames_per_second: float = setting(10.0, "rate of the stored frames")
    frame_size: int = setting(256, "shorter side of the stored frames in pixels")
    sampling_rate: int = setting(48_000, "rate of the stored audio in hertz")
    min_seconds: float = setting(3.2, "length to which shorter segments are widened")
    max_seconds: float = setting(
        10.0, "length above which segments are cut into equal parts"
    )
    candidates: int = setting(
        5, "captions per clip: its own and the nearest ones in time"
    )

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not 0 < value < math.inf:
                raise ShardError(f"`{field.name}` must be positive. Received: {value}")
        if self.max_seconds < 2 * self.min_seconds:
            raise ShardError(
                "`max_seconds` must be at least twice `min_seconds`, so that the parts "
                f"of a segment are long enough. Received: {self.max_seconds} and "
                f"{self.min_seconds}"
            )

    def spec_of(self, seconds: float) -> ClipSpec:
        """Returns the `ClipSpec` of a part of some seconds."""
        count = max(1, math.floor(seconds * self.frames_per_second + 1e-6))
        return ClipSpec(
            count, self.frames_per_second, self.frame_size, self.sampling_rate
        )


def parts_of(
    segment: Segment, media: Media, form: StoredForm
) -> Iterator[tuple[float, ClipSpec]]:
    """Divides a segment into the parts that are stored.

    Args:
        segment: `Segment`.
        media: `Media`, its open file.
        form: `StoredForm`.

    Yields:
        Tuples of the start of a part, in seconds, and its `ClipSpec`.

    Raises:
        MediaError: If the segment lies outside of the file, or has no video.
    """
    least, info = form.spec_of(form.min_seconds), media.info()
    earliest, latest = possible_starts(segment, info, least, "repeat")
    end = min(latest + least.duration, info.end)
    count = max(1, math.ceil((end - earliest) / form.max_seconds - 1e-6))
    seconds = (end - earliest) / count
    for number in range(count):
        yield earliest + number * seconds, form.spec_of(seconds)


def short_reason(media: Media, form: StoredForm) -> str | None:
    """Returns why the clip of a short file is stored as it is; `None` for others."""
    least = form.spec_of(form.min_seconds)
    if not is_short_file(media.info(), least):
        return None
    return f"{length_reason(media.info(), least)}: stored as it is"


def encode_media(
    media: Media, start: float, spec: ClipSpec, audio: Media | None = None
) -> tuple[StoredFrames, Problem | None]:
    """Encodes a part of a media file.

    Args:
        media: `Media`.
        start: float. Seconds after the start of the file.
        spec: `ClipSpec`. Frames have a shorter side of `frame_size` and are not
            cropped.
        audio: `Media` of the audio. Defaults to `None`, that of `media`.

    Returns:
        Tuple of the `StoredFrames`, whose waveform is rounded to 16 bits; and of the
        `Problem` for which it has none, or `None`.

    Raises:
        MediaError: If the file can't be decoded.
    """
    images = _images(media, start, spec)
    waveform, problem = None, None
    try:
        waveform = decode_samples(audio or media, start, spec)[0]
    except MediaError as error:
        if error.problem is not Problem.NO_AUDIO:
            raise
        problem = Problem.NO_AUDIO
    if waveform is not None and is_silent(waveform):
        waveform, problem = None, Problem.SILENT
    if waveform is not None:
        waveform = dequantized(quantized(waveform))
    rates = spec.frames_per_second, spec.sampling_rate
    return StoredFrames(images, rates[0], waveform, rates[1]), problem


def _images(media, start, spec):
    resizer = FrameResizer.of_media(media, spec.frame_size)
    encode, images = None, []
    with media.translated_errors():
        shown = shown_frames(media, start, spec)
        for frame in itertools.islice(shown, spec.num_frames):
            image = resizer.resized(frame)
            if encode is None:
                encode = JpegEncoder(*image.shape[:2])
            images.append(encode(image))
    end = start + spec.duration
    check_found(media, len(images), spec.num_frames, spec, start, end)
    return tuple(images + images[-1:] * (spec.num_frames - len(images)))
