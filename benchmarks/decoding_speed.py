"""Compares the decoding speed with 30 lines of plain PyAV that do the same work.

    KERAS_BACKEND=torch python benchmarks/decoding_speed.py --pairs 30

Both open the file once, seek, decode 3.2 seconds, scale to 224 pixels, select 32 frames
by their time stamps, and resample the audio. Files are given by path, or as `bytes`.
Plain PyAV keeps one scaler without threads for all frames; in the rows with
`frame.reformat`, it calls that instead, which is simpler and slower.
They run in pairs, in alternating order; with several threads, each runs four clips per
thread. With `--revision`, the library of that git revision is measured as well, in a
separate process.

A ratio is the speed of the library relative to plain PyAV: its median with a 95 %
bootstrap interval. The ratio of CPU seconds does not count other load on the machine;
that of wall time also has the time that threads wait for each other. The last columns
are the mean and the largest difference between the results, for frames in [0, 255] and
for samples in [-1, 1]. (Audio in WebM differs by a shift: plain PyAV places it by one
time stamp, which WebM rounds to a millisecond. H.264 frames differ in color at edges:
the library places chroma samples where the file says, and plain PyAV does not.)
"""

import argparse
import concurrent.futures
import contextlib
import fractions
import functools
import io
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import av
import numpy as np
from av.video.reformatter import VideoReformatter

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
    parser.add_argument("--threads", type=int, nargs="+", default=[1, os.cpu_count()])
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
        columns = "file, call, threads, clips/s, plain PyAV, ratio of CPU time, 95 %, "
        columns += "ratio of wall time, 95 %, frames differ, audio differs"
        print("| " + " | ".join(columns.split(", ")) + " |")
        print("|---" * len(columns.split(", ")) + "|", flush=True)
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


def plain_clip(source, start, keeps_scaler=True):
    """Decodes 32 frames and 3.2 seconds of audio with PyAV alone."""
    with _opened(source) as container:
        frames = _plain_frames(container, start, keeps_scaler)
        return frames, _plain_waveform(container, start)


def plain_frames(source, start):
    """Decodes 32 frames with PyAV alone."""
    with _opened(source) as container:
        return _plain_frames(container, start, keeps_scaler=True)


def plain_waveform(source, start):
    """Decodes 3.2 seconds of audio with PyAV alone."""
    with _opened(source) as container:
        return _plain_waveform(container, start)


def _opened(source):
    return av.open(io.BytesIO(source) if isinstance(source, bytes) else str(source))


def _plain_frames(container, start, keeps_scaler):
    stream = container.streams.video[0]
    stream.codec_context.thread_count = 1
    start += container.start_time / av.time_base
    container.seek(int(start / stream.time_base), stream=stream)
    wanted = start + np.arange(32) / 10
    scale = functools.partial(av.VideoFrame.reformat, interpolation="BILINEAR")
    if keeps_scaler:
        scale = functools.partial(
            VideoReformatter().reformat, interpolation="BILINEAR", threads=1
        )
    images, shown = [], None
    for frame in container.decode(stream):
        while len(images) < 32 and shown and frame.time > wanted[len(images)] + 1e-3:
            small = scale(shown, 299, _SIZE, "rgb24")
            images.append(small.to_ndarray()[:, 38 : 38 + _SIZE])
        shown = frame
        if len(images) == 32:
            break
    return np.stack(images)


def _plain_waveform(container, start):
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
        path, content = folder / name, (folder / name).read_bytes()
        # From a call to the library's function and to that of plain PyAV.
        pairs = {
            "decode_clip": (
                functools.partial(decode_clip, path, 2.0, spec),
                functools.partial(plain_clip, path, 2.0),
            ),
            "decode_clip, bytes": (
                functools.partial(decode_clip, content, 2.0, spec),
                functools.partial(plain_clip, content, 2.0),
            ),
            "decode_clip / frame.reformat": (
                functools.partial(decode_clip, path, 2.0, spec),
                functools.partial(plain_clip, path, 2.0, keeps_scaler=False),
            ),
            "raw_frames": (
                functools.partial(raw_frames, path, spec),
                functools.partial(plain_frames, path, middle),
            ),
            "raw_waveform": (
                functools.partial(raw_waveform, path, spec),
                functools.partial(plain_waveform, path, middle),
            ),
        }
        for call, (library, plain) in pairs.items():
            if arguments.only not in f"{name} {call}":
                continue
            differences = _differences(library(), plain())
            for threads in dict.fromkeys(arguments.threads):
                row = _row(library, plain, threads, arguments.pairs)
                cells = [name, call, str(threads), *row, *differences]
                print("| " + " | ".join(cells) + " |", flush=True)


def _row(library, plain, num_threads, num_pairs):
    """Returns the two rates, and the ratio of CPU times and that of wall times."""
    num_clips = 1 if num_threads == 1 else 4 * num_threads
    times = {plain: [], library: []}
    with concurrent.futures.ThreadPoolExecutor(num_threads) as pool:
        for index in range(num_pairs):
            for run in (plain, library) if index % 2 == 0 else (library, plain):
                times[run].append(_seconds(run, num_clips, pool))
    ours, theirs = np.array(times[library]), np.array(times[plain])
    rates = [f"{num_clips / np.median(each[:, 1]):.1f}" for each in (ours, theirs)]
    return [
        *rates,
        *_ratio(theirs[:, 0] / ours[:, 0]),
        *_ratio(theirs[:, 1] / ours[:, 1]),
    ]


def _ratio(ratios):
    """Returns the median of ratios, and its 95 % bootstrap interval."""
    samples = np.random.default_rng(0).choice(ratios, (2000, len(ratios)))
    low, high = np.quantile(np.median(samples, axis=1), [0.025, 0.975])
    return f"{np.median(ratios):.3f}", f"{low:.3f} to {high:.3f}"


def _seconds(run, num_clips, pool):
    """Returns the CPU time and the wall time of some calls."""
    used, started = time.process_time(), time.perf_counter()
    if num_clips == 1:
        run()
    else:
        for future in [pool.submit(run) for _ in range(num_clips)]:
            future.result()
    return time.process_time() - used, time.perf_counter() - started


def _differences(received, expected):
    """Checks that both do the same work: similar frames, and audio of equal loudness.

    Returns:
        List of two strings: the differences of frames and of audio.
    """
    if not isinstance(received, tuple):
        received, expected = (received,), (expected,)
    found = {np.dtype(np.uint8): "-", np.dtype(np.float32): "-"}
    for one, other in zip(received, expected, strict=True):
        one = one.reshape(other.shape)
        difference = np.abs(np.subtract(one, other, dtype=float))
        is_frames = one.dtype == np.uint8
        if is_frames and difference.mean() > 5:
            raise AssertionError(f"The frames differ by {difference.mean():.2f}.")
        if not is_frames and abs(one.std() - other.std()) > 0.02:
            raise AssertionError("The waveforms have different loudness.")
        digits = 2 if is_frames else 5
        found[one.dtype] = (
            f"{difference.mean():.{digits}f}, at most {difference.max():.{digits}f}"
        )
    return list(found.values())


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
    command += ["--threads", *map(str, arguments.threads)]
    environment = os.environ | {"PYTHONPATH": str(tree)}
    subprocess.run(command, env=environment, check=True)


if __name__ == "__main__":
    main()
