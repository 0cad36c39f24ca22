"""Opening a media file: its streams, its clock, and one kind of error."""

import collections
import contextlib
import dataclasses
import io
import itertools
import math
import os

import av

from keras_vatt._printable import printable_line
from keras_vatt.data._report import Problem
from keras_vatt.data.decoding._limits import media_limits
from keras_vatt.data.decoding._time_stamps import PresentationClock

# A file named as a video may hold a playlist that points at other files or at the
# network. Only formats that carry their own streams are opened.
_FORMATS = (
    "3g2,3gp,aac,ac3,aiff,amr,ape,asf,au,avi,caf,dv,eac3,flac,flv,gif,m4a,m4v,"
    "matroska,mj2,mov,mp3,mp4,mpeg,mpegts,mxf,nut,ogg,tta,w64,wav,webm,wv"
)
_CONTAINER_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": _FORMATS}

# Seconds by which a time stamp may be off: containers such as Matroska round them to
# milliseconds.
TIME_TOLERANCE = 0.001

# Seconds by which the end that a header claims may differ from the end of the last
# packet: the last block of audio codecs is longer than the audio in it.
_END_TOLERANCE = 0.1

# Packets of video by which one may be out of the order of presentation, at least.
_REORDERED_PACKETS = 32

# Seconds by which the time stamps of a stream don't run backward.
_BACKWARD_JUMP = 10

# Formats in which time stamps after a seek are guesses: always read from the start.
_FORMATS_WITHOUT_SEEKING = frozenset({"mpeg"})

# The same for codecs: a header has only a rounded bit rate for them.
_CODECS_WITHOUT_SEEKING = ("adpcm_ms", "adpcm_ima")

# Codecs of which a seek to the start loses samples: it forgets the encoder's delay.
_CODECS_WITHOUT_REWINDING = frozenset({"mp3", "mp3float", "opus", "libopus"})

# Formats that list each frame with its time. (A truncated file lists what it had;
# decoding tells.)
_FORMATS_WITH_INDEX = frozenset({"mov"})

_FORMATS_WITHOUT_PRESENTATION_TIMES = frozenset({"avi"})

# A transport stream marks packets as corrupt where two recordings are joined, which
# loses nothing. In other formats the mark means that the file is truncated.
_FORMATS_WITH_JOINS = frozenset({"mpegts"})

# Packets before the first block of audio and after the last that may be none.
_MAX_JUNK_PACKETS = 16

# What PyAV raises on broken files, found by damaging files at random.
LIBRARY_ERRORS = (av.FFmpegError, OSError, ValueError, ArithmeticError, LookupError)

# Seconds before the wanted time from which decoding is tried, one after the other.
# Where a format has no index, a seek may end behind the time that was asked for.
_SEEK_MARGINS = (0.0, 2.0, 10.0, math.inf)


class MediaError(Exception):
    """A media file, or a part of it, cannot be used.

    Args:
        path: str, the file.
        problem: `keras_vatt.data.Problem`, the kind of error.
        reason: str, what exactly is wrong.
    """

    def __init__(self, path, problem, reason):
        super().__init__(path, problem, reason)
        self.path = path
        self.problem = problem
        self.reason = reason

    def __str__(self):
        return printable_line(f"{self.path}: {self.reason}")


@dataclasses.dataclass(frozen=True)
class MediaInfo:
    """What a media file holds, by its headers.

    Args:
        start: float, seconds from the start of the file to the first frame.
        end: float, seconds from the start of the file to the end of the last frame
            (of the sound, in a file without video).
        has_video: bool, whether there is a video stream that can be decoded.
        has_audio: bool, whether there is an audio stream that can be decoded.
    """

    start: float
    end: float
    has_video: bool
    has_audio: bool

    @property
    def duration(self):
        """Seconds between `start` and `end`, a float."""
        return self.end - self.start


def probe(source):
    """Read from the headers of a media file what it holds.

    Args:
        source: str or path of a file, its `bytes`, a binary file object, or an open
            `Media`.

    Returns:
        A `MediaInfo`. A truncated file may promise more than it holds; decoding
        tells.

    Raises:
        MediaError: If the file is missing or is no media file.

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
def open_media(source):
    """Open a media file for a `with` block; an open `Media` is handed through.

    Args:
        source: str or path of a file, its `bytes`, a binary file object, or an open
            `Media`. Several calls of the decoding functions share one opening when
            they are given the same `Media`.

    Yields:
        A `Media`.

    Raises:
        MediaError: If the file is missing or is no media file.
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
    """An open media file, with time 0 where a player shows 0:00.

    Every error of the underlying library leaves this class as a `MediaError`.

    Args:
        source: str or path of a file, its `bytes`, or a binary file object.

    Attributes:
        name: str, the path, or what stands for it in messages.
        formats: set of str, FFmpeg's names of the container format.
        shown_until: float, seconds after the start of the file until which the video
            packets that `decode` has read show something.

    Raises:
        MediaError: If the file is missing or is no media file.
        ValueError: If `source` is something else.
    """

    def __init__(self, source):
        self.name = _name_of(source)
        self._source = source
        self._containers = []
        self._info = None
        self.shown_until = -math.inf
        with self.translated_errors():
            self._open()

    def close(self):
        """Close the file."""
        for container in self._containers:
            container.close()

    @property
    def video(self):
        """The video stream; a file without one raises a `MediaError`."""
        if self._video is None:
            raise self.error(Problem.NO_VIDEO, "has no video that can be decoded")
        check_pixels(self.name, self._video)
        return self._video

    @property
    def audio(self):
        """The audio stream; a file without one raises a `MediaError`."""
        if self._audio is None:
            raise self.error(Problem.NO_AUDIO, "has no sound that can be decoded")
        return self._audio

    @property
    def has_video(self):
        """Returns whether there is a video stream that can be decoded."""
        return self._video is not None

    @property
    def has_audio(self):
        """Returns whether there is an audio stream that can be decoded."""
        return self._audio is not None

    def info(self):
        """Returns the `MediaInfo` of the file, which is measured once."""
        if self._info is None:
            self._info = self._measured_info()
        return self._info

    def _measured_info(self):
        stream = self._video or self._audio
        if stream is None:
            return MediaInfo(0.0, 0.0, self.has_video, self.has_audio)
        start = 0.0
        if stream.start_time is not None:
            start = round(float(stream.start_time * stream.time_base) - self._zero, 6)
        end = self._end_of(stream, start)
        return MediaInfo(start, end, self.has_video, self.has_audio)

    def decode(self, stream, start):
        """Decodes a stream from a point at or before `start`, as far as it has one.

        Args:
            stream: The `video` or `audio` stream of this file.
            start: float, seconds.

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

    def time_of(self, frame):
        """Returns the time at which a frame of `decode` is presented, in seconds."""
        return frame.time - self._zero

    def clock_of(self, time):
        """Returns the time stamp, in seconds, of a time of this file in seconds."""
        return time + self._zero

    def error(self, problem, reason):
        """Makes a `MediaError` that names this file."""
        return MediaError(self.name, problem, reason)

    @contextlib.contextmanager
    def translated_errors(self):
        """Raises the errors of the underlying library as `MediaError`."""
        try:
            yield
        except FileNotFoundError as error:
            raise self.error(Problem.MISSING, "does not exist") from error
        except LIBRARY_ERRORS as error:
            reason = f"cannot be decoded ({error})"
            raise self.error(Problem.CORRUPT, reason) from error

    def _open(self):
        max_pixels = media_limits().max_pixels
        self._container = av.open(
            _openable(self._source),
            # Codecs that are opened to find the parameters of a stream have it too.
            options={"max_pixels": str(max_pixels)},
            container_options=_CONTAINER_OPTIONS,
            metadata_errors="ignore",
        )
        # An earlier one stays open, since frames of it may be in use.
        self._containers.append(self._container)
        self.formats = set(self._container.format.name.split(","))
        self._zero = (self._container.start_time or 0) / av.time_base
        self._video = _decodable(self._container, "video")
        self._audio = _decodable(self._container, "audio")
        if self._video is not None:
            self._video.codec_context.options = {"max_pixels": str(max_pixels)}

    def _decode_from(self, stream, start):
        stream = self._seek(stream, start)
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
        # Behind a seek point there may be frames that build on earlier ones.
        packets = itertools.dropwhile(
            lambda packet: not packet.is_keyframe, self._container.demux(stream)
        )
        for packet in packets:
            self._note_end(packet, stream)
            if not packet.size:  # It repeats the frame before it.
                continue
            if packet.is_corrupt and not self.formats & _FORMATS_WITH_JOINS:
                raise self.error(Problem.CORRUPT, "is truncated or damaged")
            yield from packet.decode()
        yield from stream.decode(None)

    def _audio_frames(self, stream):
        """Decodes audio, without errors at the edges of it.

        There may be tags that the format of a file doesn't know, and blocks that build
        on what was before a seek.
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
        """Keeps until when the packets that were read last show something."""
        end = _end_of_packet(packet)
        if end is not None:
            self.shown_until = max(
                self.shown_until, float(end * stream.time_base) - self._zero
            )

    def _seek(self, stream, start):
        """Seeks to a point at or before `start`; returns the stream to read from."""
        if self._has_to_reopen(stream, start):
            return self._reopened(stream)
        for offset in self._seek_offsets(stream, start):
            with contextlib.suppress(av.FFmpegError):
                self._container.seek(offset, stream=stream)
                return stream
        # There is no seeking in audio so short that it is one block of FLAC.
        return self._reopened(stream)

    def _has_to_reopen(self, stream, start):
        codec = stream.codec_context.name
        if self.formats & _FORMATS_WITHOUT_SEEKING:
            return True
        if codec.startswith(_CODECS_WITHOUT_SEEKING):
            return True
        is_start = start + self._zero <= (stream.start_time or 0) * stream.time_base
        return is_start and codec in _CODECS_WITHOUT_REWINDING

    def _reopened(self, stream):
        if hasattr(self._source, "seek"):
            self._source.seek(0)
        self._open()
        return self._video if stream.type == "video" else self._audio

    def _seek_offsets(self, stream, start):
        first = stream.start_time or 0
        if start > -math.inf:
            offset = math.floor((start + self._zero) / stream.time_base)
            if offset > first:
                yield offset
        # Where there is no index, a seek to the first key frame misses it.
        yield first - math.ceil(1 / stream.time_base)
        # Other formats refuse a time before their first.
        yield first

    def _end_of(self, stream, start):
        """Returns when a stream ends: what its header claims if packets confirm it.

        The header of Matroska gives the time of the end for the length, and a pipe
        gives a placeholder.
        """
        claimed = self._claimed_end(stream, start)
        if self.formats & _FORMATS_WITH_INDEX and claimed is not None:
            return claimed
        if claimed is not None:
            measured = self._last_packet_end(stream, claimed - 1.0)
            if measured is not None and abs(measured - claimed) <= _END_TOLERANCE:
                return claimed
        return self._last_packet_end(stream, -math.inf) or start

    def _claimed_end(self, stream, start):
        if stream.duration:
            return start + float(stream.duration * stream.time_base)
        if self._container.duration:
            return self._container.duration / av.time_base
        return None

    def _last_packet_end(self, stream, start):
        """Returns the end of the last packet, in seconds, or `None` if there is none.

        Args:
            stream: The `video` or `audio` stream of this file.
            start: float. Seconds from which packets are read.
        """
        with self.translated_errors():
            stream = self._seek(stream, start)
            ends = map(_end_of_packet, self._container.demux(stream))
            last = collections.deque(
                (end for end in ends if end is not None), _REORDERED_PACKETS
            )
        if not last:
            return None
        # A damaged packet may have any time stamp: those after it tell.
        last, jump = list(last), float(_BACKWARD_JUMP / stream.time_base)
        ends = [end for k, end in enumerate(last) if end - jump <= min(last[k:])]
        return float(max(ends) * stream.time_base) - self._zero


def _raise_if_damaged(errors, at_edge):
    if errors and not (at_edge and len(errors) <= _MAX_JUNK_PACKETS):
        raise errors[0]


def check_pixels(name, stream):
    """Raises a `MediaError` where the frames of a stream are larger than the limit.

    Args:
        name: str, the file.
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


def _end_of_packet(packet):
    """Returns when a packet ends in ticks of its stream, or `None`."""
    start = packet.dts if packet.pts is None else packet.pts
    if start is None or packet.is_discard:
        return None
    return start + (packet.duration or 0)


def _name_of(source):
    if isinstance(source, bytes):
        return f"<{len(source)} bytes>"
    if isinstance(source, str | os.PathLike):
        return os.fspath(source)
    if not hasattr(source, "read"):
        raise ValueError(
            "Media are a path, the bytes of a file, or a binary file object. Received: "
            f"{type(source).__name__} {source!r:.100}"
        )
    return str(getattr(source, "name", source))


def _openable(source):
    if isinstance(source, bytes):
        return io.BytesIO(source)
    if isinstance(source, str | os.PathLike):
        # An absolute path can't be read as a URL or a protocol of the library.
        return os.path.abspath(source)
    return source


def _decodable(container, kind):
    stream = container.streams.best(kind)
    if stream is None or stream.codec_context is None:
        return None
    if stream.disposition & av.stream.Disposition.attached_pic:
        return None
    # Several files are decoded at once: threads within one would compete with that.
    stream.codec_context.thread_count = 1
    return stream
