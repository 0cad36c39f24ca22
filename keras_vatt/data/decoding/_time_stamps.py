"""Presentation times of decoded frames, as FFmpeg estimates them."""

import math


class PresentationClock:
    """Estimates the presentation time of each frame of a stream.

    Some containers (AVI) have no presentation times, and some encoders write wrong
    ones. Like the `ffmpeg` program (`guess_correct_pts` of libavcodec), this class uses
    the decoding times if the presentation times run backward more often. A frame with
    neither follows the previous one.

    Args:
        stream: `av.VideoStream` or `av.AudioStream`.
        is_presented: bool. Whether the container has presentation times. If it has
            none, those of its frames are ignored. Defaults to `True`.
    """

    def __init__(self, stream, is_presented=True):
        self._is_presented = is_presented
        self._time_base = stream.time_base
        self._ticks_per_second = float(1 / stream.time_base)
        rate = stream.average_rate if stream.type == "video" else None
        self._period = round(self._ticks_per_second / rate) if rate else 0
        self._faulty = {"pts": 0, "dts": 0}
        self._last = {"pts": -math.inf, "dts": -math.inf}
        self._next = stream.start_time or 0

    def stamp(self, frame):
        """Sets `frame.pts` to the estimate, in the time base of the stream.

        Args:
            frame: `av.VideoFrame` or `av.AudioFrame`, in the order of decoding.

        Returns:
            The frame.
        """
        pts = self._estimate(frame.pts if self._is_presented else None, frame.dts)
        frame.pts = self._next if pts is None else pts
        frame.time_base = self._time_base
        self._next = frame.pts + self._length(frame)
        return frame

    def _estimate(self, pts, dts):
        for name, value in (("pts", pts), ("dts", dts)):
            if value is not None:
                self._faulty[name] += value <= self._last[name]
                self._last[name] = value
        if pts is None or (
            dts is not None and self._faulty["pts"] > self._faulty["dts"]
        ):
            return dts
        return pts

    def _length(self, frame):
        if getattr(frame, "samples", None):
            return round(frame.samples / frame.sample_rate * self._ticks_per_second)
        return frame.duration or self._period
