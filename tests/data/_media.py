"""Small media files whose content shows its position in the file."""

import fractions

import av
import numpy as np

SIDE = 64
_BITS = 8


def numbered_picture(number, height=SIDE, width=SIDE):
    """Return an image of 8 columns, black or white by the bits of a number."""
    columns = [255 * (number >> bit & 1) for bit in range(_BITS)]
    row = np.repeat(np.array(columns, np.uint8), width // _BITS)
    return np.broadcast_to(row[None, :, None], (height, width, 3)).copy()


def noisy_picture(number):
    """Return a numbered image with noise, which takes some bytes to encode."""
    noise = np.random.default_rng(number).integers(0, 60, (SIDE, SIDE, 3), np.uint8)
    image = numbered_picture(number)
    return np.where(image > 127, image - noise, image + noise)


def number_in(image):
    """Read the number out of an image that was made by `numbered_picture`."""
    width = image.shape[1] // _BITS
    columns = image.reshape(len(image), _BITS, width, 3).mean(axis=(0, 2, 3))
    return sum(int(column > 127) << bit for bit, column in enumerate(columns))


def numbers_in(frames):
    return [number_in(frame) for frame in frames]


def clicks(times, seconds, rate, height=0.8):
    """Return a waveform with a short, smooth click at each of the times."""
    axis = np.arange(round(seconds * rate)) / rate
    waveform = sum(np.exp(-(((axis - time) * 4000.0) ** 2)) for time in times)
    return (height * waveform).astype(np.float32)


def center_of_click(waveform, near, rate):
    """Return where a click lies, in samples, as the center of its energy."""
    first = round(near * rate) - 150
    energy = waveform[first : first + 301].astype(np.float64) ** 2
    return (energy * np.arange(first, first + 301)).sum() / energy.sum()


def write_media(path, images=None, times=None, sound=None, **options):
    """Write a media file.

    Args:
        path: its suffix tells the container.
        images: arrays, or `None` for a file without video.
        times: seconds at which the images are shown.
        sound: `(waveform, rate)`, channels first if there are several, or `None`.
        options: `video_codec`, `audio_codec`, `group` (frames from one key frame to
            the next), `sound_start` (seconds), `pixel_aspect`, `pixel_format`, `clock`
            (ticks per second of the times of the images), `muxer` (its options),
            `rate` (frames per second, from which the last one takes its duration).
    """
    muxer = options.get("muxer", {})
    with av.open(str(path), "w", container_options=muxer) as container:
        clock = options.get("clock", 30_000)
        video = _add_video(container, images, clock, options)
        audio = _add_audio(container, sound, options)
        if video is not None:
            _write_video(container, video, images, times, clock)
        if audio is not None:
            _write_audio(container, audio, sound, options.get("sound_start", 0.0))
    return path


def _add_video(container, images, clock, options):
    if images is None:
        return None
    stream = container.add_stream(
        options.get("video_codec", "libx264"), rate=options.get("rate", 25)
    )
    stream.height, stream.width = images[0].shape[:2]
    stream.pix_fmt = options.get("pixel_format", "yuv420p")
    stream.codec_context.time_base = fractions.Fraction(1, clock)
    stream.codec_context.gop_size = options.get("group", 25)
    if "pixel_aspect" in options:
        stream.codec_context.sample_aspect_ratio = options["pixel_aspect"]
    return stream


def _add_audio(container, sound, options):
    if sound is None:
        return None
    waveform, rate = sound
    layout = "mono" if waveform.ndim == 1 else {2: "stereo", 6: "5.1"}[len(waveform)]
    codec = options.get("audio_codec", "aac")
    return container.add_stream(codec, rate=rate, layout=layout)


def _write_video(container, stream, images, times, clock):
    for image, time in zip(images, times, strict=True):
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        frame.time_base = fractions.Fraction(1, clock)
        frame.pts = round(time * clock)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def _write_audio(container, stream, sound, start):
    waveform, rate = sound
    channels = np.atleast_2d(waveform)
    layout = stream.codec_context.layout.name
    resampler = av.AudioResampler(stream.codec_context.format.name, layout, rate)
    for first in range(0, channels.shape[1], 1024):
        block = np.ascontiguousarray(channels[:, first : first + 1024])
        frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=layout)
        frame.sample_rate, frame.time_base = rate, fractions.Fraction(1, rate)
        frame.pts = first + round(start * rate)
        for converted in resampler.resample(frame):
            container.mux(stream.encode(converted))
    container.mux(stream.encode(None))
