"""Open media files: streams and frames with times, and errors of one kind."""

from __future__ import annotations

import contextlib
import itertools
import math
import os
from collections.abc import Iterator
from typing import BinaryIO, TypeAlias

import av

from keras_vatt._remote_files import RemoteFileError
from keras_vatt.data._report import Problem
from keras_vatt.data.decoding._container import Container
from keras_vatt.data.decoding._file_errors import LIBRARY_ERRORS, MediaError
from keras_vatt.data.decoding._limits import media_limits
from keras_vatt.data.decoding._media_info import MediaInfo, end_of_packet, measure
from keras_vatt.data.decoding._time_stamps import PresentationClock

MediaSource: TypeAlias = str | os.PathLike[str] | bytes | BinaryIO

# Seconds by which a time stamp may be off: containers such as Matroska round them to
# milliseconds.
TIME_TOLERANCE = 0.001

_FORMATS_WITHOUT_PRESENTATION_TIMES = frozenset({"avi"})

# A transport stream marks packets as corrupt where two recordings are joined, which
# loses nothing. In other formats the mark means that the file is truncated.
_FORMATS_WITH_JOINS = frozenset({"mpegts"})

# Packets before the first block of audio and after the last that may not be audio.
_MAX_JUNK_PACKETS = 16

# Seconds before the requested time from which decoding is tried, one after the other:
# without an index, a seek may end behind the requested time.
_SEEK_MARGINS = (0.0, 2.0, 10.0, math.inf)


def probe(source: MediaSource | Media) -> MediaInfo:
    """Reads the streams and the length of a media file from its headers.

    Args:
        source: str or path of a file, its `bytes`, a binary file object, or an open
            `keras_vatt.data.Media`.

    Returns:
        A `keras_vatt.data.MediaInfo`. A truncated file may claim more than it holds,
        which only decoding finds out.

    Raises:
        MediaError: If the file does not exist or is not a media file.

    Example:
    ```python
    from keras_vatt.data import make_demo_corpus, probe

    corpus = make_demo_corpus("demo", train_clips=2, test_clips=2, progress=False)
    probe(corpus / "train" / "000000.mp4")
    # MediaInfo(start=0.0, end=3.4, has_video=True, has_audio=True)
    ```
    """
    with open_media(source) as media:
        return media.info()


@contextlib.contextmanager
def open_media(source: MediaSource | Media) -> Iterator[Media]:
    """Opens a media file for a `with` block; an open `Media` is passed through.

    Args:
        source: str or path of a file, its `bytes`, a binary file object, or an open
            `keras_vatt.data.Media`. Calls of the decoding functions with the same
            `Media` open the file once.

    Yields:
        A `keras_vatt.data.Media`.

    Raises:
        MediaError: If the file does not exist or is not a media file.
    """
    if isinstance(source, Media):
        yield source
        return
    media = Media(source)
    try:
        yield media
    finally:
        media.close()


class Media:
    """An open media file whose times start at 0, as a player shows them.

    Errors of the underlying library are raised as `MediaError`.

    Args:
        source: str or path of a file, its `bytes`, or a binary file object.

    Attributes:
        name: str. The path, or a description of the source, for messages.
        shown_until: float. Seconds after the start of the file at which the video
            packets that `decode` has read end.

    Raises:
        MediaError: If the file does not exist or is not a media file.
        ValueError: If `source` has another type.
    """

    def __init__(self, source: MediaSource) -> None:
        self.name = _name_of(source)
        self._info = None
        self.shown_until = -math.inf
        with self.translated_errors():
            self._container = Container(source)

    def close(self) -> None:
        """Closes the file."""
        self._container.close()

    @property
    def formats(self) -> set[str]:
        """FFmpeg's names of the container format."""
        return self._container.formats

    @property
    def video(self) -> av.VideoStream:
        """The video stream; raises a `MediaError` in a file without one."""
        if not self.has_video:
            raise self.error(Problem.NO_VIDEO, "has no video that can be decoded")
        check_pixels(self.name, self._container.video)
        return self._container.video

    @property
    def audio(self) -> av.AudioStream:
        """The audio stream; raises a `MediaError` in a file without one."""
        if not self.has_audio:
            raise self.error(Problem.NO_AUDIO, "has no audio that can be decoded")
        return self._container.audio

    @property
    def has_video(self) -> bool:
        """`True` if there is a video stream that can be decoded."""
        return self._container.video is not None

    @property
    def has_audio(self) -> bool:
        """`True` if there is an audio stream that can be decoded."""
        return self._container.audio is not None

    def info(self) -> MediaInfo:
        """Returns the `MediaInfo` of the file, which is measured once."""
        if self._info is None:
            with self.translated_errors():
                self._info = measure(self._container)
        return self._info

    def decode(
        self, stream: av.stream.Stream, start: float
    ) -> Iterator[av.frame.Frame]:
        """Decodes a stream from a point at or before `start`, if the file has one.

        Args:
            stream: `video` or `audio` of this file.
            start: float. Seconds after the start of the file.

        Yields:
            Frames of PyAV with time stamps, in the order of presentation.

        Raises:
            MediaError: If the stream is damaged.
        """
        with self.translated_errors():
            for margin in _SEEK_MARGINS:
                frames = self._decode_from(stream, start - margin)
                first = next(frames, None)
                is_all = start - margin == -math.inf
                if is_all or (first and self.time_of(first) <= start):
                    break
            if first is not None:
                yield first
            yield from frames

    def time_of(self, frame: av.frame.Frame) -> float:
        """Returns the time at which a frame of `decode` is presented, in seconds."""
        return frame.time - self._container.zero

    def clock_of(self, time: float) -> float:
        """Returns the time stamp, in seconds, of a time after the start of the file."""
        return time + self._container.zero

    def error(self, problem: Problem, reason: str) -> MediaError:
        """Returns a `MediaError` that names this file."""
        return MediaError(self.name, problem, reason)

    @contextlib.contextmanager
    def translated_errors(self) -> Iterator[None]:
        """Raises errors of the underlying library as `MediaError`."""
        try:
            yield
        except FileNotFoundError as error:
            raise self.error(Problem.MISSING, "does not exist") from error
        except RemoteFileError as error:
            raise self.error(Problem.UNREACHABLE, error.reason) from error
        except LIBRARY_ERRORS as error:
            reason = f"cannot be decoded ({error})"
            raise self.error(Problem.CORRUPT, reason) from error

    def _decode_from(self, stream, start):
        stream = self._container.seek(stream, start)
        decode = self._video_frames if stream.type == "video" else self._audio_frames
        is_presented = not self.formats & _FORMATS_WITHOUT_PRESENTATION_TIMES
        clock = PresentationClock(stream, is_presented)
        for frame in decode(stream):
            clock.stamp(frame)
            if frame.is_corrupt and stream.type == "video":
                reason = f"is damaged at {self.time_of(frame):.2f} s"
                raise self.error(Problem.CORRUPT, reason)
            yield frame

    def _video_frames(self, stream):
        # Behind a seek point there may be frames that depend on earlier ones.
        packets = itertools.dropwhile(
            lambda packet: not packet.is_keyframe, self._container.demux(stream)
        )
        for packet in packets:
            self._note_end(packet, stream)
            if not packet.size:  # It repeats the previous frame.
                continue
            if packet.is_corrupt and not self.formats & _FORMATS_WITH_JOINS:
                raise self.error(Problem.CORRUPT, "is truncated or damaged")
            yield from packet.decode()
        yield from stream.decode(None)

    def _audio_frames(self, stream):
        """Decodes audio, ignoring errors before its first and after its last block.

        There may be tags that the container format doesn't know, and blocks that
        depend on what was before a seek.
        """
        errors, is_first = [], True
        for packet in self._container.demux(stream):
            if not packet.size:
                continue
            try:
                frames = packet.decode()
            except av.FFmpegError as error:
                errors.append(error)
                continue
            if frames:
                _raise_if_damaged(errors, at_edge=is_first)
                errors, is_first = [], False
            yield from frames
        _raise_if_damaged(errors, at_edge=True)
        yield from stream.decode(None)

    def _note_end(self, packet, stream):
        """Updates `shown_until` with the end of a packet."""
        end = end_of_packet(packet)
        if end is not None:
            end = float(end * stream.time_base) - self._container.zero
            self.shown_until = max(self.shown_until, end)


def check_pixels(name: str, stream: av.VideoStream) -> None:
    """Raises a `MediaError` if the frames of a stream are larger than the limit.

    Args:
        name: str. Name of the file, for the message.
        stream: `av.VideoStream`.
    """
    width, height, limit = stream.width, stream.height, media_limits().max_pixels
    if width and width * height <= limit:
        return
    size = f"{width} x {height} pixels" if width else "a size that can't be read"
    reason = (
        f"has frames of {size}; the limit is {limit} pixels: see "
        "keras_vatt.data.MediaLimits"
    )
    raise MediaError(name, Problem.CORRUPT, reason)


def _raise_if_damaged(errors, at_edge):
    if errors and not (at_edge and len(errors) <= _MAX_JUNK_PACKETS):
        raise errors[0]


def _name_of(source):
    if isinstance(source, bytes):
        return f"<{len(source)} bytes>"
    if isinstance(source, str | os.PathLike):
        return os.fspath(source)
    if not hasattr(source, "read"):
        raise ValueError(
            "A media source must be a path, the bytes of a file, or a binary file "
            f"object. Received: {type(source).__name__} {source!r:.100}"
        )
    return str(getattr(source, "name", source))
