"""Compares the decoding speed with 30 lines of plain PyAV that do the same work.

    KERAS_BACKEND=torch python benchmarks/decoding_speed.py --pairs 30

Both seek, decode 3.2 seconds, scale to 224 pixels, select 32 frames by their time
stamps, and resample the audio. They run in pairs, in alternating order. Times are CPU
seconds, so that other load on the machine does not count. With `--revision`, the
library of that git revision is measured as well, in a separate process. The reported
ratio is the speed of the library relative to plain PyAV: its median with a 95 %
bootstrap interval.
"""

import argparse
import contextlib
import fractions
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import av
import numpy as np

_RATE, _SIZE, _SECONDS = 48_000, 224, 10
_CODECS = {
    "h264_aac.mp4": ("libx264", "aac", {"crf": "23"}),
    "vp9_opus.webm": (
        "libvpx-vp9",
        "libopus",
        {"deadline": "realtime", "cpu-used": "8"},
    ),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pairs", type=int, default=30)
    parser.add_argument("--revision", help="git revision to measure as well")
    parser.add_argument("--only", default="", help="only rows whose name contains this")
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = arguments.folder or stack.enter_context(tempfile.TemporaryDirectory())
        folder = pathlib.Path(folder)
        for name, codecs in _CODECS.items():
            if not (folder / name).exists():
                write_clip(folder / name, *codecs)
        print("| file | call | clips per CPU second | plain PyAV | ratio | 95 % |")
        print("|---|---|---|---|---|---|", flush=True)
        _measure(folder, arguments)
        if arguments.revision:
            _measure_revision(folder, arguments)


def write_clip(path, video_codec, audio_codec, options):
    """Writes 10 seconds of 320 x 240 video at 25 frames per second, with audio."""
    random = np.random.default_rng(0)
    texture = random.integers(0, 256, (30, 550, 3), np.uint8)
    texture = texture.repeat(8, axis=0)
    with av.open(str(path), "w") as container:
        video = container.add_stream(video_codec, rate=25, options=options)
        video.width, video.height, video.pix_fmt = 320, 240, "yuv420p"
        audio = container.add_stream(audio_codec, rate=_RATE, layout="mono")
        for number in range(25 * _SECONDS):
            # Smooth motion, as in camera recordings.
            picture = np.repeat(texture[:, 2 * number : 2 * number + 40], 8, axis=1)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")
            frame.pts = number
            frame.time_base = fractions.Fraction(1, 25)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        tone = np.sin(np.arange(_SECONDS * _RATE) * 440 * 2 * np.pi / _RATE)
        noisy = (0.4 * tone + 0.1 * random.standard_normal(len(tone))).astype(
            np.float32
        )
        resampler = av.AudioResampler(audio.codec_context.format.name, "mono", _RATE)
        block = av.AudioFrame.from_ndarray(noisy[np.newaxis], "fltp", "mono")
        block.sample_rate = _RATE
        for frame in [*resampler.resample(block), *resampler.resample(None)]:
            container.mux(audio.encode(frame))
        container.mux(audio.encode(None))


def plain_frames(path, start):
    """Decodes 32 frames with PyAV alone."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        start += container.start_time / av.time_base
        container.seek(int(start / stream.time_base), stream=stream)
        wanted = start + np.arange(32) / 10
        images, shown = [], None
        for frame in container.decode(stream):
            while (
                len(images) < 32 and shown and frame.time > wanted[len(images)] + 1e-3
            ):
                small = shown.reformat(299, _SIZE, "rgb24", interpolation="BILINEAR")
                images.append(small.to_ndarray()[:, 38 : 38 + _SIZE])
            shown = frame
            if len(images) == 32:
                break
    return np.stack(images)


def plain_waveform(path, start):
    """Decodes 3.2 seconds of audio with PyAV alone."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        stream.codec_context.thread_count = 1
        start += container.start_time / av.time_base
        container.seek(int(max(0, start - 0.5) / stream.time_base), stream=stream)
        resampler, blocks, first = av.AudioResampler("fltp", "mono", _RATE), [], None
        for frame in container.decode(stream):
            first = frame.time if first is None else first
            if frame.time > start + 3.25:
                break
            blocks += [block.to_ndarray() for block in resampler.resample(frame)]
    samples = np.concatenate(blocks, axis=1)[0]
    skip = round((start - first) * _RATE)
    return samples[skip : skip + 153_600]


def _measure(folder, arguments):
    from keras_vatt.data import ClipSpec, decode_clip
    from keras_vatt.data.decoding._raw_clips import raw_frames, raw_waveform

    spec = ClipSpec()
    middle = (_SECONDS - 3.2) / 2
    for name in _CODECS:
        path = folder / name
        pairs = {
            "decode_clip": (
                lambda path=path: decode_clip(path, 2.0, spec),
                lambda path=path: (plain_frames(path, 2.0), plain_waveform(path, 2.0)),
            ),
            "raw_frames": (
                lambda path=path: raw_frames(path, spec),
                lambda path=path: plain_frames(path, middle),
            ),
            "raw_waveform": (
                lambda path=path: raw_waveform(path, spec),
                lambda path=path: plain_waveform(path, middle),
            ),
        }
        for call, (library, plain) in pairs.items():
            if arguments.only in f"{name} {call}":
                _print_row(name, call, library, plain, arguments.pairs)


def _print_row(name, call, library, plain, num_pairs):
    _check_equal(library(), plain())
    times = {plain: [], library: []}
    for index in range(num_pairs):
        for run in (plain, library) if index % 2 == 0 else (library, plain):
            times[run].append(_cpu_seconds(run))
    plain_times, library_times = times[plain], times[library]
    ratios = np.array(plain_times) / np.array(library_times)
    samples = np.random.default_rng(0).choice(ratios, (2000, len(ratios)))
    low, high = np.quantile(np.median(samples, axis=1), [0.025, 0.975])
    rates = [1 / np.median(times) for times in (library_times, plain_times)]
    print(
        f"| {name} | {call} | {rates[0]:.1f} | {rates[1]:.1f} | "
        f"{np.median(ratios):.3f} | {low:.3f} to {high:.3f} |",
        flush=True,
    )


def _cpu_seconds(run):
    start = time.process_time()
    run()
    return time.process_time() - start


def _check_equal(received, expected):
    """Checks that both do the same work: similar frames, and audio of equal loudness.

    Plain PyAV places audio by one time stamp, which WebM rounds to a millisecond.
    """
    if not isinstance(received, tuple):
        received, expected = (received,), (expected,)
    for one, other in zip(received, expected, strict=True):
        if one.dtype != np.uint8:
            one, other = one.std() * 255, other.std() * 255
        difference = np.abs(np.subtract(one, other, dtype=float)).mean()
        if difference > 5:
            raise AssertionError(f"The results differ by {difference:.3f} on average.")


def _measure_revision(folder, arguments):
    """Measures another revision, which is unpacked next to the clips."""
    tree = folder / "revision"
    tree.mkdir()
    archive = subprocess.run(
        ["git", "archive", arguments.revision, "keras_vatt", "presets"],
        capture_output=True,
        check=True,
    ).stdout
    subprocess.run(["tar", "-x", "-C", tree], input=archive, check=True)
    print(f"revision {arguments.revision}:", flush=True)
    command = [sys.executable, __file__, "--pairs", str(arguments.pairs)]
    command += ["--only", arguments.only, "--folder", str(folder)]
    environment = os.environ | {"PYTHONPATH": str(tree)}
    subprocess.run(command, env=environment, check=True)


if __name__ == "__main__":
    main()
