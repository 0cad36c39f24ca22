"""Media files of many containers, codecs and defects, made by the `ffmpeg` program.

`VIDEOS` and `AUDIOS` map the name of a file to a `Case`; `write_case` writes one. Each
is a few seconds of 64 x 48 pixels, or of audio with sudden bursts.
"""

import dataclasses
import struct
from collections.abc import Callable

import numpy as np

from tests.data._ffmpeg_content import coded_image, recording
from tests.data._ffmpeg_program import ffmpeg

SECONDS = 3
# FFmpeg 5 counts time in Matroska from the start of Opus' priming, 7 ms; FFmpeg 8 from
# the first sample. Either may be off by a rounded millisecond.
OPUS_LAG = 336
# One stamp tells the start to half a millisecond or so, many of them more precisely.
_MILLISECOND_LAG = 36
# A clock of 90 kHz tells which sample of 44.1 kHz a block begins at to one sample.
_TICK_LAG = 2
_FILM, _NTSC, _DOUBLE = "24000/1001", "30000/1001", "60000/1001"
_FAST_H264 = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "16", "-g", "25")
_H264 = (*_FAST_H264, "-bf", "2", "-pix_fmt", "yuv420p")
_LONG_GROUP = (*_H264, "-g", "250")
_VP8 = ("-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "1M")
_VP9 = ("-c:v", "libvpx-vp9", *_VP8[2:])
_MPEG4 = ("-c:v", "mpeg4", "-q:v", "2", "-g", "25")
_MPEG2 = ("-c:v", "mpeg2video", "-q:v", "2", "-g", "12")
_MJPEG = ("-c:v", "mjpeg", "-q:v", "2")
_THEORA = ("-c:v", "libtheora", "-q:v", "9", "-pix_fmt", "yuv420p")
_FFV1 = ("-c:v", "ffv1")
_AAC = ("-c:a", "aac", "-aac_coder", "fast", "-b:a", "128k")
_VORBIS = ("-c:a", "libvorbis", "-q:a", "6")
_OPUS = ("-c:a", "libopus", "-b:a", "128k")
_MP3 = ("-c:a", "libmp3lame", "-b:a", "160k")


@dataclasses.dataclass(frozen=True)
class Case:
    """Parameters of one file.

    Args:
        output: tuple of str. Options of the encoders and of the container.
        rate: str. Frames per second of the images.
        size: tuple of ints. Height and width of the images.
        pixel_aspect: float. Width of a pixel over its height.
        filters: str. Filters of the images.
        before: dict with the keys "video" and "audio". Options before an input.
        audio_rate: int. Hertz.
        channels: int. Channels of the audio, `0` for a file without audio.
        lossless: bool. Whether decoding gives the samples that were encoded.
        change: function of the bytes of the file, for what `ffmpeg` can't write.
        truth: bool. Whether the file starts where its recording starts.
        lag: int. Samples at 48 kHz by which the audio may be placed elsewhere than by
            `ffmpeg`, where the time stamps leave that open; the comment says why.
    """

    output: tuple = ()
    rate: str = "25"
    size: tuple = (48, 64)
    pixel_aspect: float = 1.0
    filters: str = "null"
    before: dict = dataclasses.field(default_factory=dict)
    audio_rate: int = 44_100
    channels: int = 1
    lossless: bool = False
    change: Callable | None = None
    truth: bool = True
    lag: int = 0

    @property
    def frames_per_second(self):
        """The rate as a float."""
        return float(np.divide(*map(float, f"{self.rate}/1".split("/")[:2])))


def write_case(path, case, has_video):
    """Writes the file of a case.

    Args:
        path: path of the file; its name is a key of `VIDEOS` or `AUDIOS`.
        case: a `Case`, or a function of the path that writes the file.
        has_video: bool. Whether there are images.

    Returns:
        The path.
    """
    if callable(case):
        case(path)
        return path
    folder = path.parent
    inputs, maps = [], []
    if has_video:
        images = _images_file(folder, case)
        height, width = case.size
        inputs += [*case.before.get("video", ()), "-f", "rawvideo", "-pix_fmt", "rgb24"]
        inputs += ["-s", f"{width}x{height}", "-framerate", case.rate]
        inputs += ["-i", images]
    if case.channels:
        inputs += [*case.before.get("audio", ()), "-f", "f32le", "-ar", case.audio_rate]
        inputs += ["-ac", case.channels, "-i", _recording_file(folder, case)]
    if has_video:
        maps += ["-vf", case.filters]
    ffmpeg(*inputs, *maps, *case.output, path)
    if case.change:
        path.write_bytes(case.change(path.read_bytes()))
    return path


def _images_file(folder, case):
    height, width = case.size
    name = f"{width}x{height}_{case.pixel_aspect}_{round(case.frames_per_second)}.rgb"
    path = folder / name
    if not path.exists():
        count = min(256, round(SECONDS * case.frames_per_second))
        images = (
            coded_image(number, height, width, case.pixel_aspect)
            for number in range(count)
        )
        path.write_bytes(b"".join(image.tobytes() for image in images))
    return path


def _recording_file(folder, case):
    path = folder / f"{case.audio_rate}_{case.channels}.f32"
    if not path.exists():
        samples = recording(SECONDS, case.audio_rate, case.channels)
        path.write_bytes(samples.tobytes())
    return path


def _turned(*matrix):
    """Replaces the display matrix of the first track, the video, by `(a, b, c, d)`."""
    a, b, c, d = (value << 16 for value in matrix)

    def change(data):
        first = data.index(b"tkhd") + 44
        values = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
        return data[:first] + values + data[first + 36 :]

    return change


def _cut(path):
    """Cuts a file without encoding it again: an edit list hides what is before."""
    full = path.with_name(f"full_of_{path.stem}.mp4")
    write_case(full, Case((*_LONG_GROUP, *_AAC)), True)
    ffmpeg("-ss", "0.7", "-i", full, "-t", "2", "-c", "copy", path)


def _discontinuous(path):
    """Joins two recordings whose clocks both start at zero."""
    part = path.with_name("part.ts")
    write_case(part, Case((*_H264, *_AAC)), True)
    path.write_bytes(part.read_bytes() * 2)


def _changing_size(path):
    """Joins two parts of one broadcast, the second with larger images."""
    first, second = path.with_name("small.ts"), path.with_name("large.ts")
    write_case(first, Case((*_H264, "-t", "1.6"), channels=0), True)
    output = (*_H264, "-output_ts_offset", "1.6", "-t", "1.6")
    write_case(second, Case(output, channels=0, size=(96, 128)), True)
    path.write_bytes(first.read_bytes() + second.read_bytes())


def _live(*arguments):
    """Writes to a pipe, so that the header has no duration and there is no index."""

    def write(path):
        seekable = path.with_name(f"seekable_{path.name}")
        write_case(seekable, Case(arguments), True)
        form = path.suffix[1:].replace("mkv", "matroska")
        data, _ = ffmpeg("-i", seekable, "-c", "copy", "-f", form, "pipe:1")
        path.write_bytes(data)

    return write


def _piped_wav(size):
    """Replaces both sizes in the header of a WAV file."""

    def change(data):
        sizes = struct.pack("<I", size)
        first = data.index(b"data") + 4
        data = data[:4] + sizes + data[8:]
        return data[:first] + sizes + data[first + 4 :]

    return change


def _odd_list(data):
    """Inserts an information chunk of odd size, which is padded, before the samples."""
    chunk = b"LIST" + struct.pack("<I", 13) + b"INFOINAM\x01\0\0\0x" + b"\0"
    first = data.index(b"data")
    return data[:first] + chunk + data[first:]


def _with_cover(path):
    cover = path.with_name("cover.png")
    ffmpeg("-f", "lavfi", "-i", "color=red:s=64x64", "-frames:v", "1", cover)
    music = path.with_name("music.mp3")
    write_case(music, Case(_MP3), False)
    maps = ("-map", "0:a", "-map", "1:v", "-c", "copy", "-id3v2_version", "3")
    ffmpeg("-i", music, "-i", cover, *maps, "-disposition:v", "attached_pic", path)


def _uneven(*output, channels=1, **options):
    # Of 7 frames those are kept whose number squared is 0, 1 or 2 modulo 7.
    kept = r"select='lt(mod(n*n\,7)\,3)'"
    output = (*output, "-fps_mode", "passthrough")
    return Case(output, filters=kept, channels=channels, **options)


def _tagged(matrix, full_range=False):
    """H.264 of a color matrix, converted with it and tagged."""
    sides = "pc" if full_range else "tv"
    filters = f"scale=out_color_matrix={matrix}:out_range={sides},format=yuv420p"
    name = {"bt601": "smpte170m"}.get(matrix, matrix)
    tags = ("-colorspace", name, "-color_range", sides)
    return Case((*_FAST_H264, *tags), filters=filters, channels=0)


VIDEOS = {
    "h264_aac.mp4": Case((*_H264, *_AAC)),
    # Without audio: FFmpeg 5 ignores the edit list that hides the priming of AAC here.
    "fragmented.mp4": Case(
        (*_H264, "-movflags", "frag_keyframe+delay_moov"), channels=0
    ),
    "cut.mp4": _cut,
    "cut.mov": _cut,
    "late_audio.mp4": Case(
        (*_H264, *_AAC), before={"audio": ("-itsoffset", "0.7")}, truth=False
    ),
    "late_video.mp4": Case(
        (*_H264, *_AAC, "-fps_mode", "passthrough"),
        before={"video": ("-itsoffset", "0.7")},
    ),
    "late_audio.mkv": Case(
        (*_H264, *_AAC),
        before={"audio": ("-itsoffset", "0.7")},
        truth=False,
        lag=_MILLISECOND_LAG,
    ),
    "offset.mkv": Case((*_H264, *_AAC, "-output_ts_offset", "10")),
    "offset.webm": Case(
        (*_VP8, *_OPUS, "-output_ts_offset", "10"), audio_rate=48_000, lag=OPUS_LAG
    ),
    "offset.ts": Case((*_H264, *_AAC, "-output_ts_offset", "1000")),
    "wrapping.ts": Case((*_H264, *_AAC, "-output_ts_offset", "95440.9")),
    "discontinuous.ts": _discontinuous,
    "changing_size.ts": _changing_size,
    "live.webm": _live(*_VP8, *_VORBIS),
    "live.mkv": _live(*_H264, *_AAC),
    "vp9_opus.webm": Case((*_VP9, *_OPUS), audio_rate=48_000, lag=OPUS_LAG),
    "h264_bframes.avi": Case((*_FAST_H264, "-bf", "3", *_MP3)),
    "mpeg4_bframes.avi": Case((*_MPEG4, "-bf", "2", *_MP3)),
    "packed_bframes.avi": Case(
        ("-c:v", "libxvid", "-bf", "2", "-q:v", "2", "-g", "25", "-an"), channels=0
    ),
    "mjpeg_pcm.avi": Case((*_MJPEG, "-c:a", "pcm_s16le"), lossless=True),
    "theora.ogv": Case((*_THEORA, *_VORBIS)),
    "still_theora.ogv": Case(
        (*_THEORA, "-an"), filters="loop=-1:1,trim=end_frame=75", channels=0
    ),
    "short.wmv": Case(
        ("-c:v", "wmv2", "-b:v", "1M", "-c:a", "wmav2", "-t", "2.5"),
        truth=False,
        lag=_MILLISECOND_LAG,
    ),
    "flv1_mp3.flv": Case(("-c:v", "flv", "-q:v", "2", "-g", "25", *_MP3)),
    "h264_aac.flv": Case((*_H264, *_AAC)),
    "uneven.gif": _uneven(channels=0),
    "uneven.mp4": _uneven(*_H264, *_AAC),
    "uneven.mkv": _uneven(*_H264, *_AAC),
    "uneven.webm": _uneven(*_VP8, *_VORBIS),
    "film.mkv": Case((*_H264, *_AAC), rate=_FILM),
    "ntsc.mp4": Case((*_H264, *_AAC), rate=_NTSC),
    "double.mp4": Case((*_H264, *_AAC), rate=_DOUBLE),
    "open_group.mp4": Case(
        (*_H264, "-x264-params", "open-gop=1:bframes=3:keyint=20", *_AAC)
    ),
    "open_group_hevc.mp4": Case(
        ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params")
        + ("open-gop=1:bframes=3:keyint=20:log-level=none:pools=1", "-crf", "16"),
        channels=0,
    ),
    "program_stream.mpg": Case((*_MPEG2, "-bf", "2", "-c:a", "mp2")),
    "mpeg1.mpg": Case(("-c:v", "mpeg1video", "-q:v", "2", "-bf", "2", "-c:a", "mp2")),
    "mpeg2.ts": Case((*_MPEG2, "-bf", "2", "-c:a", "mp2")),
    "interlaced.ts": Case(
        (*_MPEG2, "-flags", "+ilme+ildct", "-c:a", "ac3"), lag=_TICK_LAG
    ),
    "rotated_90.mp4": Case(_H264, channels=0, change=_turned(0, 1, -1, 0)),
    "rotated_180.mp4": Case(_H264, channels=0, change=_turned(-1, 0, 0, -1)),
    "rotated_270.mov": Case(_H264, channels=0, change=_turned(0, -1, 1, 0)),
    "flipped_left_right.mp4": Case(_H264, channels=0, change=_turned(-1, 0, 0, 1)),
    "flipped_upside_down.mp4": Case(_H264, channels=0, change=_turned(1, 0, 0, -1)),
    "transposed.mp4": Case(_H264, channels=0, change=_turned(0, 1, 1, 0)),
    "wide_pixels.mp4": Case(_H264, channels=0, filters="setsar=2", pixel_aspect=2.0),
    "narrow_pixels.mkv": Case(
        _H264, channels=0, filters="setsar=1/2", pixel_aspect=0.5
    ),
    "odd_size.webm": Case(_VP9, channels=0, size=(37, 53)),
    "odd_size.mkv": Case(
        (*_FAST_H264, "-pix_fmt", "yuv444p"), channels=0, size=(37, 53)
    ),
    "portrait.mp4": Case(_H264, channels=0, size=(64, 48)),
    "ten_bits.mp4": Case((*_FAST_H264, "-pix_fmt", "yuv420p10le"), channels=0),
    "ten_bits_422.mov": Case(("-c:v", "prores_ks", "-qscale:v", "4"), channels=0),
    "full_range_mjpeg.mov": Case((*_MJPEG, "-pix_fmt", "yuvj420p"), channels=0),
    "full_range.mp4": _tagged("bt709", full_range=True),
    "bt709.mp4": _tagged("bt709"),
    "bt601.mp4": _tagged("bt601"),
    "bt2020.mkv": Case(
        (*_FAST_H264, "-colorspace", "bt2020nc", "-color_range", "tv"),
        filters="scale=out_color_matrix=bt2020,format=yuv420p10le",
        channels=0,
    ),
    "rgb_flac.mkv": Case((*_FFV1, "-pix_fmt", "gbrp", "-c:a", "flac"), lossless=True),
    "gray.mkv": Case((*_FFV1, "-pix_fmt", "gray"), channels=0),
    "animation.mov": Case(("-c:v", "qtrle", "-c:a", "pcm_s16be"), lossless=True),
    "surround.mp4": Case((*_H264, *_AAC), channels=6),
    "surround.mkv": Case((*_H264, "-c:a", "ac3", "-b:a", "448k"), channels=6),
}

AUDIOS = {
    **{
        f"vorbis_{channels}_{rate}.ogg": Case(
            _VORBIS, audio_rate=rate, channels=channels
        )
        for channels in (1, 2)
        for rate in (22_050, 44_100, 48_000)
    },
    "vorbis.webm": Case(_VORBIS, channels=2),
    "vorbis.mkv": Case(_VORBIS),
    "opus.ogg": Case(_OPUS, audio_rate=48_000),
    "opus.webm": Case(_OPUS, audio_rate=48_000, channels=2, lag=_MILLISECOND_LAG),
    "opus.mkv": Case(_OPUS, audio_rate=16_000, truth=False, lag=_MILLISECOND_LAG),
    "constant.mp3": Case(_MP3),
    "variable.mp3": Case(("-c:a", "libmp3lame", "-q:a", "2"), channels=2),
    "without_header.mp3": Case((*_MP3, "-write_xing", "0"), truth=False),
    "with_cover.mp3": _with_cover,
    "mpeg2_layer3.mp3": Case(("-c:a", "libmp3lame", "-b:a", "64k"), audio_rate=22_050),
    "layer2.mp2": Case(("-c:a", "mp2", "-b:a", "192k"), truth=False),
    "frames.aac": Case((*_AAC, "-f", "adts"), truth=False),
    "aac.m4a": Case(_AAC, channels=2),
    "aac_low_rate.m4a": Case(("-c:a", "aac", "-b:a", "48k"), audio_rate=16_000),
    "aac.mkv": Case(_AAC, truth=False),
    "aac.ts": Case(_AAC, truth=False),
    "alac.m4a": Case(("-c:a", "alac", "-sample_fmt", "s16p"), lossless=True),
    "mono.flac": Case(("-sample_fmt", "s16"), lossless=True),
    "deep.flac": Case(
        ("-sample_fmt", "s32"), audio_rate=96_000, channels=2, lossless=True
    ),
    "flac.ogg": Case(("-c:a", "flac"), lossless=True),
    "s16.wav": Case(("-c:a", "pcm_s16le"), lossless=True),
    "s24.wav": Case(("-c:a", "pcm_s24le"), channels=2, lossless=True),
    "f32.wav": Case(("-c:a", "pcm_f32le"), audio_rate=16_000, lossless=True),
    "u8.wav": Case(("-c:a", "pcm_u8"), audio_rate=8_000, lossless=True),
    "mulaw.wav": Case(("-c:a", "pcm_mulaw"), audio_rate=8_000),
    "adpcm_ms.wav": Case(("-c:a", "adpcm_ms"), audio_rate=22_050),
    "adpcm_ima.wav": Case(("-c:a", "adpcm_ima_wav"), audio_rate=22_050),
    "piped.wav": Case(
        ("-c:a", "pcm_s16le"),
        audio_rate=16_000,
        lossless=True,
        change=_piped_wav(0xFFFFFFFF),
    ),
    "piped_zero.wav": Case(
        ("-c:a", "pcm_s16le"), audio_rate=16_000, lossless=True, change=_piped_wav(0)
    ),
    "piped_half.wav": Case(
        ("-c:a", "pcm_s16le"),
        audio_rate=16_000,
        lossless=True,
        change=_piped_wav(0x7FFFFFFF),
    ),
    "rf64.wav": Case(("-c:a", "pcm_s16le", "-rf64", "always"), lossless=True),
    "odd_list.wav": Case(("-c:a", "pcm_s16le"), lossless=True, change=_odd_list),
    "big_endian.aiff": Case((), channels=2, lossless=True),
    "core_audio.caf": Case(("-c:a", "pcm_s16be"), lossless=True),
    "windows_media.wma": Case(("-c:a", "wmav2", "-b:a", "128k"), truth=False),
    "surround.wav": Case(("-c:a", "pcm_s16le"), channels=6, lossless=True),
    "surround.flac": Case(("-sample_fmt", "s16"), channels=6, lossless=True),
    "surround.ac3": Case(("-c:a", "ac3", "-b:a", "448k"), channels=6, truth=False),
    "surround.m4a": Case(("-c:a", "aac", "-b:a", "320k"), channels=6),
    "surround_vorbis.ogg": Case(_VORBIS, channels=6),
    "quad.wav": Case(("-c:a", "pcm_s16le"), channels=4, lossless=True),
    "pcm.mkv": Case(("-c:a", "pcm_s16le"), lossless=True),
}
