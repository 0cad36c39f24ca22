"""Resampling in time, in space and of audio, with graphs of FFmpeg's filters.

The filters handle irregular time stamps, channel layouts and color spaces; none of that
is computed here.
"""

import contextlib
import fractions
import math

import av
import numpy as np

# Raised if a graph has no frame yet, and if it has no frame any more.
_NOTHING_TO_PULL = (av.BlockingIOError, av.EOFError)

# Largest denominator of a frame rate for FFmpeg, which uses 32 bits.
_MAX_DENOMINATOR = 100_000

# Largest difference, in seconds, between time stamps and the length of the audio before
# FFmpeg inserts silence or drops samples (`min_hard_comp` of `aresample`).
MAX_JITTER = 0.1


def at_rate(frames, start, rate):
    """Yields the frame that is shown at each time of a clip, with FFmpeg's `fps`.

    Args:
        frames: Iterable of `av.VideoFrame` with time stamps.
        start: float. Time stamp of the first frame of the clip, in seconds.
        rate: float. Frames per second.

    Yields:
        `av.VideoFrame`: for `k = 0, 1, ...` the last that begins no later than
        `start + k / rate`, or the first of all if none does.
    """
    rate = fractions.Fraction(rate).limit_denominator(_MAX_DENOMINATOR)
    graph = None
    for frame in frames:
        if graph is None:
            graph = _linked(
                _video_source(frame),
                # A time base of a frame or a millisecond can't express the start.
                ("settb", "AVTB"),
                ("setpts", f"PTS-({start:.9f})/TB"),
                ("fps", f"fps={rate}:start_time=0:round=up"),
                ("buffersink", None),
            )
        graph.push(frame)
        yield from _pulled(graph)
    if graph is not None:
        graph.push(None)
        yield from _pulled(graph)


class Scaler:
    """Scales frames to RGB images with FFmpeg's bilinear `scale`.

    Graphs are cached, since creating one takes longer than scaling an image.
    """

    def __init__(self):
        self._graphs = {}

    def __call__(self, frame, width, height):
        """Scales one frame.

        Args:
            frame: `av.VideoFrame`.
            width: int. Width of the image in pixels.
            height: int. Height of the image in pixels.

        Returns:
            NumPy array of uint8, shape `(height, width, 3)`, RGB.
        """
        source = _video_source(frame)
        key = (source[1], width, height)
        graph = self._graphs.get(key)
        if graph is None:
            scale = f"w={width}:h={height}:flags=bilinear"
            # Planes first: a scaler that writes RGB pixels takes twice the time, and in
            # images of even width interpolates the colors for every other pixel only.
            graph = self._graphs[key] = _linked(
                source,
                ("scale", scale),
                ("format", "gbrp"),
                ("scale", None),
                ("format", "rgb24"),
                ("buffersink", None),
            )
        graph.push(frame)
        return graph.pull().to_ndarray()


def resample(frames, positions, rate):
    """Resamples audio to a grid that begins at time zero, and averages its channels.

    FFmpeg's `aresample` inserts silence into gaps between time stamps, drops overlaps,
    and mixes surround channels down to stereo.

    Args:
        frames: List of `av.AudioFrame` of one format.
        positions: Sequence of ints. Number of samples, at their own rate, from time
            zero to the start of each frame.
        rate: int. Sampling rate of the result, in hertz.

    Returns:
        Tuple of an int, the number of samples from time zero to the first, and of a
        NumPy array of float32, shape `(samples,)`.
    """
    own_rate = frames[0].sample_rate
    # Resampling starts on a sample of both rates, so that the result does not depend on
    # the start of decoding.
    period = own_rate // math.gcd(own_rate, rate)
    origin = int(positions[0]) // period * period
    if origin < positions[0]:
        frames = [_silence_like(frames[0], int(positions[0]) - origin), *frames]
        positions = [origin, *positions]
    graph = _linked(
        _audio_source(frames[0]),
        ("aresample", _aresample_options(frames[0], rate, origin)),
        ("abuffersink", None),
    )
    graph.set_audio_frame_size(rate)  # A few large blocks are faster than many.
    time_base = fractions.Fraction(1, own_rate)
    for frame, position in zip(frames, positions, strict=True):
        frame.pts, frame.time_base = int(position), time_base
        graph.push(frame)
    graph.push(None)
    blocks = [block.to_ndarray() for block in _pulled(graph)]
    if not blocks:
        return 0, np.zeros(0, np.float32)
    channels = np.concatenate(blocks, axis=1)
    return origin * rate // own_rate, channels.mean(axis=0, dtype=np.float32)


def _aresample_options(frame, rate, origin):
    options = {
        "async": 1,
        "min_hard_comp": MAX_JITTER,
        "first_pts": origin,
        "osr": rate,
        "osf": "fltp",
    }
    # Channels of an unknown layout are averaged.
    if frame.layout.nb_channels > 2 and "channels" not in frame.layout.name:
        options["ochl"] = "stereo"
    return ":".join(f"{name}={value}" for name, value in options.items())


def _silence_like(frame, samples):
    silence = av.AudioFrame(frame.format.name, frame.layout.name, samples)
    silence.sample_rate = frame.sample_rate
    zero = b"\x80" if frame.format.name in ("u8", "u8p") else b"\0"
    for plane in silence.planes:
        plane.update(zero * plane.buffer_size)
    return silence


def _video_source(frame):
    options = {
        "video_size": f"{frame.width}x{frame.height}",
        "pix_fmt": frame.format.name,
        "time_base": str(frame.time_base or fractions.Fraction(1, av.time_base)),
        "colorspace": int(frame.colorspace),
        "range": int(frame.color_range),
    }
    return "buffer", ":".join(f"{name}={value}" for name, value in options.items())


def _audio_source(frame):
    options = {
        "sample_rate": frame.sample_rate,
        "sample_fmt": frame.format.name,
        "channel_layout": frame.layout.name,
        "time_base": f"1/{frame.sample_rate}",
    }
    return "abuffer", ":".join(f"{name}={value}" for name, value in options.items())


def _linked(*filters):
    graph = av.filter.Graph()
    # Several files are decoded in parallel: threads within one would compete.
    graph.threads = 1
    nodes = [graph.add(name, options) for name, options in filters]
    graph.link_nodes(*nodes).configure()
    return graph


def _pulled(graph):
    with contextlib.suppress(*_NOTHING_TO_PULL):
        while True:
            yield graph.pull()
