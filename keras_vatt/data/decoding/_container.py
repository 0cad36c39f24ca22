"""An open container file: its streams, its start, and seeking."""

import contextlib
import io
import math
import os

import av

from keras_vatt._remote_files import is_remote, open_remote
from keras_vatt.data.decoding._limits import media_limits

# A file named as a video may hold a playlist that points at other files or at the
# network. Only formats that carry their own streams are opened.
_FORMATS = (
    "3g2,3gp,aac,ac3,aiff,amr,ape,asf,au,avi,caf,dv,eac3,flac,flv,gif,m4a,m4v,"
    "matroska,mj2,mov,mp3,mp4,mpeg,mpegts,mxf,nut,ogg,tta,w64,wav,webm,wv"
)
_CONTAINER_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": _FORMATS}

# Formats whose time stamps are guesses after a seek: always read from the start.
_FORMATS_WITHOUT_SEEKING = frozenset({"mpeg"})

# The same for codecs whose header has only a rounded bit rate.
_CODECS_WITHOUT_SEEKING = ("adpcm_ms", "adpcm_ima")

# Codecs that lose samples when a seek goes to the start: the delay of the encoder is
# then not removed.
_CODECS_WITHOUT_REWINDING = frozenset({"mp3", "mp3float", "opus", "libopus"})


class Container:
    """An open container file with seeking for every supported format.

    Errors of the underlying library are not translated.

    Args:
        source: str or path of a file, the URL of a remote one, its `bytes`, or a binary
            file object.

    Attributes:
        formats: set of str. FFmpeg's names of the container format.
        zero: float. Time stamp, in seconds, of the start of the file.
        duration: float. Seconds that the header claims, or `None`.
        video: Video stream that can be decoded, or `None`.
        audio: Audio stream that can be decoded, or `None`.
    """

    def __init__(self, source):
        self._source = source
        self._opened = []
        self._open()

    def close(self):
        """Closes the file."""
        for container in self._opened:
            container.close()

    def demux(self, stream):
        """Returns an iterator over the packets of a stream that follow."""
        return self._container.demux(stream)

    def seek(self, stream, start):
        """Seeks to a point at or before `start`.

        Args:
            stream: `video` or `audio` of this container.
            start: float. Seconds after the start of the file.

        Returns:
            The stream to read from: another object if the file was reopened.
        """
        if self._has_to_reopen(stream, start):
            return self._reopened(stream)
        for offset in self._seek_offsets(stream, start):
            with contextlib.suppress(av.FFmpegError):
                self._container.seek(offset, stream=stream)
                return stream
        # Seeking fails in audio so short that it is a single block of FLAC.
        return self._reopened(stream)

    def _open(self):
        max_pixels = media_limits().max_pixels
        self._container = av.open(
            _openable(self._source),
            # Codecs are opened to find the parameters of a stream: they need it too.
            options={"max_pixels": str(max_pixels)},
            container_options=_CONTAINER_OPTIONS,
            metadata_errors="ignore",
        )
        # An earlier one stays open, since its frames may be in use.
        self._opened.append(self._container)
        duration = self._container.duration
        self.duration = duration / av.time_base if duration else None
        self.formats = set(self._container.format.name.split(","))
        self.zero = (self._container.start_time or 0) / av.time_base
        self.video = _decodable(self._container, "video")
        self.audio = _decodable(self._container, "audio")
        if self.video is not None:
            self.video.codec_context.options = {"max_pixels": str(max_pixels)}

    def _has_to_reopen(self, stream, start):
        codec = stream.codec_context.name
        if self.formats & _FORMATS_WITHOUT_SEEKING:
            return True
        if codec.startswith(_CODECS_WITHOUT_SEEKING):
            return True
        is_start = start + self.zero <= (stream.start_time or 0) * stream.time_base
        return is_start and codec in _CODECS_WITHOUT_REWINDING

    def _reopened(self, stream):
        if hasattr(self._source, "seek"):
            self._source.seek(0)
        self._open()
        return self.video if stream.type == "video" else self.audio

    def _seek_offsets(self, stream, start):
        first = stream.start_time or 0
        if start > -math.inf:
            offset = math.floor((start + self.zero) / stream.time_base)
            if offset > first:
                yield offset
        # Without an index, a seek to the first key frame misses it.
        yield first - math.ceil(1 / stream.time_base)
        # Other formats reject a time before their first.
        yield first


def _openable(source):
    if isinstance(source, bytes):
        return io.BytesIO(source)
    if is_remote(source):
        return open_remote(source)
    if isinstance(source, str | os.PathLike):
        # FFmpeg can't take an absolute path for a URL or a protocol.
        return os.path.abspath(source)
    return source


def _decodable(container, kind):
    stream = container.streams.best(kind)
    if stream is None or stream.codec_context is None:
        return None
    if stream.disposition & av.stream.Disposition.attached_pic:
        return None
    # Several files are decoded in parallel: threads within one would compete.
    stream.codec_context.thread_count = 1
    return stream
