"""The streams and the length of a media file."""

import collections
import dataclasses
import math

# Seconds by which the end that a header claims may differ from the end of the last
# packet: the last block of an audio codec is longer than the audio in it.
_END_TOLERANCE = 0.1

# Lower bound on the number of video packets by which one may be out of the order of
# presentation.
_REORDERED_PACKETS = 32

# Time stamps of a stream never run backward by as many seconds.
_BACKWARD_JUMP = 10

# Formats that list each frame with its time. (A truncated file still lists the frames
# that it lost; only decoding finds out.)
_FORMATS_WITH_INDEX = frozenset({"mov"})


@dataclasses.dataclass(frozen=True)
class MediaInfo:
    """Streams and length of a media file, read from its headers.

    Args:
        start: float. Seconds from the start of the file to the first frame.
        end: float. Seconds from the start of the file to the end of the last frame, or
            of the audio in a file without video.
        has_video: bool. Whether there is a video stream that can be decoded.
        has_audio: bool. Whether there is an audio stream that can be decoded.
    """

    start: float
    end: float
    has_video: bool
    has_audio: bool

    @property
    def duration(self) -> float:
        """Seconds between `start` and `end`."""
        return self.end - self.start


def measure(container) -> MediaInfo:
    """Reads the streams and the length of a container file.

    Args:
        container: `Container`. Reading continues elsewhere in it afterward.

    Returns:
        A `MediaInfo`.
    """
    has_video, has_audio = container.video is not None, container.audio is not None
    stream = container.video or container.audio
    if stream is None:
        return MediaInfo(0.0, 0.0, has_video, has_audio)
    start = 0.0
    if stream.start_time is not None:
        start = float(stream.start_time * stream.time_base) - container.zero
        start = round(start, 6)
    return MediaInfo(start, _end_of(container, stream, start), has_video, has_audio)


def end_of_packet(packet):
    """Returns the time stamp at which a packet ends, in ticks of its stream, or `None`.

    Args:
        packet: `av.Packet`.
    """
    start = packet.dts if packet.pts is None else packet.pts
    if start is None or packet.is_discard:
        return None
    return start + (packet.duration or 0)


def _end_of(container, stream, start):
    """Returns the end of a stream: the header's claim if packets confirm it.

    The header of Matroska gives the time of the end as the length, and files that were
    written to a pipe have a placeholder.
    """
    claimed = _claimed_end(container, stream, start)
    if container.formats & _FORMATS_WITH_INDEX and claimed is not None:
        return claimed
    if claimed is not None:
        measured = _last_packet_end(container, stream, claimed - 1.0)
        if measured is not None and abs(measured - claimed) <= _END_TOLERANCE:
            return claimed
    return _last_packet_end(container, stream, -math.inf) or start


def _claimed_end(container, stream, start):
    if stream.duration:
        return start + float(stream.duration * stream.time_base)
    return container.duration


def _last_packet_end(container, stream, start):
    """Returns the end of the last packet, in seconds, or `None` without packets.

    Args:
        container: `Container`.
        stream: Its `video` or `audio` stream.
        start: float. Seconds from which packets are read.
    """
    stream = container.seek(stream, start)
    ends = map(end_of_packet, container.demux(stream))
    last = collections.deque(
        (end for end in ends if end is not None), _REORDERED_PACKETS
    )
    if not last:
        return None
    # A damaged packet may have any time stamp: it is compared with those after it.
    last, jump = list(last), float(_BACKWARD_JUMP / stream.time_base)
    ends = [end for k, end in enumerate(last) if end - jump <= min(last[k:])]
    return float(max(ends) * stream.time_base) - container.zero
