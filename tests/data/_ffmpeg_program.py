"""The `ffmpeg` program: it makes the files of the oracle tests, and decodes them."""

import dataclasses
import functools
import re
import shutil
import struct
import subprocess

import numpy as np
import pytest

needs_ffmpeg = pytest.mark.skipif(
    shutil.which("ffmpeg") is None,
    reason="needs the program ffmpeg (Debian: apt-get install ffmpeg)",
)

_CLOCK = 1_000_000
# A second output: where no output takes a stream of MPEG, the program counts time from
# the start of the others.
_ALL_STREAMS = ("-map", "0", "-c", "copy", "-f", "null", "/dev/null")


@dataclasses.dataclass(frozen=True, eq=False)
class DecodedVideo:
    """All frames of a file, as `ffmpeg` decodes them.

    Args:
        times: NumPy array of float64, shape `(frames,)`. Seconds after the start of
            the file.
        images: NumPy array of uint8, shape `(frames, size, size, 3)`.
    """

    times: np.ndarray
    images: np.ndarray

    @property
    def end(self):
        """Seconds at which the last frame ends, if it lasts as long as most do."""
        return self.times[-1] + float(np.median(np.diff(self.times)))

    def shown(self, start, spec, tolerance=0.0):
        """Returns the images that are shown at the times of a clip.

        This is what `fps=FPS:round=up:start_time=START` selects.
        """
        wanted = start + np.arange(spec.num_frames) / spec.frames_per_second
        last = np.searchsorted(self.times, wanted + tolerance + 1e-6, side="right") - 1
        return self.images[np.maximum(last, 0)]


def ffmpeg(*arguments, check=True):
    """Runs the program.

    Returns:
        Tuple of what it wrote to its output (bytes) and to its log (str).
    """
    command = ["ffmpeg", "-nostdin", "-hide_banner", "-y", "-threads", "1"]
    done = subprocess.run(
        [*command, *map(str, arguments)], capture_output=True, timeout=60
    )
    log = done.stderr.decode(errors="replace")
    if check and done.returncode:
        raise RuntimeError(f"ffmpeg {' '.join(map(str, arguments))}\n{log[-2000:]}")
    return done.stdout, log


@functools.cache
def decoded_video(path, size):
    """Decodes, turns, scales and crops all frames of a file.

    Args:
        path: path of the file.
        size: int. Height and width of the images.

    Returns:
        A `DecodedVideo`.
    """
    filters = (
        f"settb=1/{_CLOCK},"
        f"scale=w='max({size},round({size}*iw*sar/min(iw*sar,ih)))'"
        f":h='max({size},round({size}*ih/min(iw*sar,ih)))':flags=bilinear+full_chroma_int,"
        f"setsar=1,format=rgb24,crop={size}:{size},showinfo"
    )
    output = ("-map", "0:v:0", "-fps_mode", "passthrough", "-f", "rawvideo", "pipe:1")
    data, log = ffmpeg("-i", path, "-vf", filters, *output, *_ALL_STREAMS, check=False)
    times = [int(t) / _CLOCK for t in re.findall(r"\] n: *\d+ pts: *(-?\d+) ", log)]
    images = np.frombuffer(data, np.uint8).reshape(-1, size, size, 3)
    # The program flushes its log after its output, so both are complete.
    assert len(times) == len(images) > 0, log[-2000:]
    return DecodedVideo(np.array(times), images)


@functools.cache
def decoded_audio(path, rate):
    """Decodes the audio of a file, on its own time line, to one channel.

    More than two channels are first mixed down to stereo by the program.

    Args:
        path: path of the file.
        rate: int, hertz.

    Returns:
        NumPy array of float32, shape `(samples,)`, in [-1, 1]. The first sample is at
        the start of the file; gaps are silent.
    """
    # Without video, time zero is the first sample: the first packets of some
    # codecs (Vorbis, WMA) have none, which the program fills with silence.
    first = ":first_pts=0" if _has_video(path) else ""
    filters = (
        f"aresample={rate}:async=1{first}:osf=flt,aformat=channel_layouts=mono|stereo"
    )
    output = ("-map", "0:a:0", "-c:a", "pcm_f32be", "-f", "au", "pipe:1")
    data, log = ffmpeg("-i", path, "-af", filters, *output, *_ALL_STREAMS, check=False)
    assert data, log[-2000:]
    first, _, _, _, channels = struct.unpack(">5I", data[4:24])
    samples = np.frombuffer(data[first:], ">f4").reshape(-1, channels)
    return np.clip(samples.mean(axis=1, dtype=np.float32), -1.0, 1.0)


@functools.cache
def _has_video(path):
    _, log = ffmpeg("-i", path, check=False)
    return any("Video:" in line and "attached" not in line for line in log.split("\n"))


def window(samples, first, count):
    """Returns `count` samples from an index on, with silence around the audio."""
    padded = np.zeros(count, np.float32)
    part = samples[max(0, first) : max(0, first + count)]
    place = max(0, -first)
    padded[place : place + len(part)] = part
    return padded


def signal_to_noise(expected, received):
    """Decibels of a signal over its difference to another (200 if they are equal)."""
    expected, received = expected.astype(np.float64), received.astype(np.float64)
    noise = ((expected - received) ** 2).sum()
    signal = (expected**2).sum()
    return 10 * np.log10(max(signal, 1e-20) / max(noise, signal * 1e-20, 1e-30))
