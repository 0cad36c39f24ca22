"""Small valid media files of 13 formats, and random damage to them."""

import av
import numpy as np

from tests.data._media import numbered_picture, write_media

_VIDEOS = {
    "a.mp4": {},
    "b.mov": {"muxer": {"movflags": "faststart"}},
    "c.mkv": {"audio_codec": "flac"},
    "d.webm": {"video_codec": "libvpx", "audio_codec": "libopus"},
    "e.avi": {"video_codec": "mpeg4", "audio_codec": "libmp3lame"},
    "f.ts": {"video_codec": "mpeg2video", "audio_codec": "mp2"},
    "g.flv": {"video_codec": "flv1", "audio_codec": "libmp3lame"},
    "h.wmv": {"video_codec": "wmv2", "audio_codec": "libmp3lame"},
}
_AUDIOS = {
    "i.ogg": {"audio_codec": "libopus"},
    "j.wav": {"audio_codec": "pcm_s16le"},
    "k.mp3": {"audio_codec": "libmp3lame"},
}
# Values that overflow or mean "unknown".
_EXTREMES = (b"\0", b"\xff", b"\x7f", b"\x80")


def write_valid_files(folder):
    """Writes one valid file per format: 3 seconds of 64 x 64 pixels, and audio.

    Args:
        folder: path.

    Returns:
        List of paths.
    """
    folder.mkdir(parents=True)
    pictures = [numbered_picture(number) for number in range(75)]
    times = np.arange(75) / 25
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 3 * 48_000)
    audio = (noise.astype(np.float32), 48_000)
    paths = [
        write_media(folder / name, pictures, times, audio, clock=25, **options)
        for name, options in _VIDEOS.items()
    ]
    paths += [
        write_media(folder / name, sound=audio, **options)
        for name, options in _AUDIOS.items()
    ]
    return paths + [_write_image(folder / name) for name in ("l.png", "m.bmp")]


def _write_image(path):
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    with av.open(str(path), "w", format="image2") as container:
        stream = container.add_stream(path.suffix[1:], rate=1)
        stream.width, stream.height = 64, 48
        stream.pix_fmt = "rgb24" if path.suffix == ".png" else "bgr24"
        frame = av.VideoFrame.from_ndarray(noise, "rgb24")
        container.mux(stream.encode(frame.reformat(format=stream.pix_fmt)))
        container.mux(stream.encode(None))
    return path


def damaged(content, random):
    """Returns the content of a file with one to three kinds of damage.

    Args:
        content: bytes.
        random: `np.random.Generator`.
    """
    content = bytearray(content)
    for _ in range(random.integers(1, 4)):
        change = _CHANGES[random.integers(len(_CHANGES))]
        content = change(content, random)
    return bytes(content)


def _flip(content, random):
    count = 1 + int(random.exponential(20))
    for place in random.integers(0, max(1, len(content)), count):
        content[place : place + 1] = random.bytes(1)
    return content


def _edit_header(content, random):
    """Writes an extreme number to a field near the start or the end."""
    width = int(random.choice([1, 2, 4, 8]))
    place = int(random.integers(0, min(len(content), 2048)))
    if random.random() < 0.3:
        place = max(0, len(content) - place - width)
    value = _EXTREMES[random.integers(len(_EXTREMES))] * width
    content[place : place + width] = (
        value if random.random() < 0.7 else random.bytes(width)
    )
    return content


def _truncate(content, random):
    return content[: int(random.integers(0, len(content) + 1))]


def _swap(content, random):
    first, second = _block(content, random), _block(content, random)
    size = min(first.stop - first.start, second.stop - second.start)
    first = slice(first.start, first.start + size)
    second = slice(second.start, second.start + size)
    content[first], content[second] = content[second], content[first]
    return content


def _zero(content, random):
    block = _block(content, random)
    content[block] = bytes(block.stop - block.start)
    return content


def _repeat(content, random):
    block = _block(content, random)
    return content[: block.stop] + content[block.start :]


def _remove(content, random):
    del content[_block(content, random)]
    return content


def _block(content, random):
    size = int(min(len(content), 1 + random.exponential(2000)))
    start = int(random.integers(0, len(content) - size + 1))
    return slice(start, start + size)


_CHANGES = (_flip, _flip, _edit_header, _edit_header, _truncate, _swap, _zero, _repeat)
_CHANGES += (_remove,)
