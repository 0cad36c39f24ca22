"""Generates a corpus of mp4 files whose frames, audio and captions correspond.

Each clip has a colored shape that moves, a voice that names it, and a caption. Two
parameters misalign a fraction of the audio and of the captions, as in videos from the
web; the manifest has the ground truth.
"""

import concurrent.futures
import os
import pathlib

import av
import numpy as np
import tqdm

from keras_vatt._claimed_folder import claim_folder
from keras_vatt.data._manifest import write_manifest
from keras_vatt.data.decoding._encoding import encode_clip
from keras_vatt.data.demo._clip_plans import (
    DURATION,
    FRAMES_PER_SECOND,
    NUM_FRAMES,
    plan_test,
    plan_train,
)
from keras_vatt.data.demo._moving_shapes import render_moving_shape
from keras_vatt.data.demo._speech import synthesize_speech

_SAMPLING_RATE = 48_000

# Gain of the compressor; the loudest sample of its output is just below 1.
_COMPRESSION = 6.0

# Number of clips per process of the speech synthesizer. The speech of a clip depends on
# the clips before it in its block, so this number determines the corpus.
_BLOCK = 16
_FORMAT_VERSION = 5
_SETTINGS = "demo_corpus.json"
_MANIFEST = "manifest.jsonl"


def make_demo_corpus(
    folder: str | os.PathLike[str],
    train_clips: int,
    test_clips: int = 120,
    seed: int = 0,
    misaligned_audio: float = 0.0,
    misaligned_text: float = 0.0,
    frame_size: int = 64,
    num_workers: int | None = None,
    progress: bool = True,
) -> pathlib.Path:
    """Generates a corpus of short videos of moving shapes, with speech and captions.

    A clip lasts 2.6 seconds (10 frames per second, H.264; 48 kHz mono, AAC) and has one
    of 6 colors x 5 shapes x 4 motions: "a red star moving left". Position, size, speed,
    shades, voice, speaking rate, pitch and the wording of the caption vary.

    Training clips are drawn uniformly from the 120 combinations. The test split has
    each combination once before any comes twice, and is never misaligned.

    The manifest has, for each clip, the combinations of its `video`, its `audio` and
    its `text`, and whether they agree: `audio_aligned`, `text_aligned`.

    Frames, waveforms and captions depend only on the arguments, and not on
    `num_workers` or on interruptions. (The bytes of the files also depend on the
    version of the encoders.) A folder that has the same corpus is used unchanged, and
    an incomplete one is completed.

    Args:
        folder: str or path of a folder for this corpus alone; created if it is missing.
        train_clips: int. Number of clips of split `"train"`.
        test_clips: int. Number of clips of split `"test"`. Defaults to `120`: every
            combination once.
        seed: int. Defaults to `0`.
        misaligned_audio: float. Probability that the audio of a training clip
            describes another combination, drawn uniformly. Defaults to `0.0`.
        misaligned_text: float. The same for the caption, independently. Defaults to
            `0.0`.
        frame_size: int. Height and width in pixels, even. Defaults to `64`.
        num_workers: int. Number of clips that are generated in parallel, in threads.
            Defaults to `None`, the number of processors.
        progress: bool. Whether to show a progress bar. Defaults to `True`.

    Returns:
        `pathlib.Path` of the folder, for `read_corpus`.

    Raises:
        ImportError: If espeak-ng or Pillow is missing. They come with
            `pip install "keras-vatt[demo]"`.
        ValueError: If an argument is out of range, or if the folder has other files.

    Example:
    ```python
    from keras_vatt.data import make_demo_corpus, read_corpus

    corpus = make_demo_corpus(
        "noisy", train_clips=4, test_clips=2, misaligned_audio=0.5, progress=False
    )
    segments, _ = read_corpus(corpus)
    segments[0].caption  # such as "a green circle moving up"
    segments[0].extra["audio_aligned"]
    ```
    """
    settings = {
        "format_version": _FORMAT_VERSION,
        "train_clips": train_clips,
        "test_clips": test_clips,
        "seed": seed,
        "misaligned_audio": misaligned_audio,
        "misaligned_text": misaligned_text,
        "frame_size": frame_size,
    }
    _check(settings)
    folder = pathlib.Path(folder)
    claim_folder(folder, settings, "a demo corpus", ValueError, _SETTINGS)
    plans = plan_train(train_clips, seed, misaligned_audio, misaligned_text)
    plans += plan_test(test_clips, seed)
    _make_missing(folder, plans, frame_size, num_workers or os.cpu_count(), progress)
    if not (folder / _MANIFEST).is_file():
        segments = [plan.to_segment(folder) for plan in plans]
        write_manifest(folder / _MANIFEST, segments)
    return folder


def _check(settings):
    for name in ("train_clips", "test_clips", "seed"):
        value = settings[name]
        if not isinstance(value, int) or value < 0:
            raise ValueError(f"`{name}` must be an integer >= 0. Received: {value!r}")
    for name in ("misaligned_audio", "misaligned_text"):
        if not 0 <= settings[name] <= 1:
            raise ValueError(f"`{name}` must lie in [0, 1]. Received: {settings[name]}")
    size = settings["frame_size"]
    if not isinstance(size, int) or size < 32 or size % 2:
        raise ValueError(f"`frame_size` must be even and >= 32. Received: {size!r}")


def _make_missing(folder, plans, frame_size, num_workers, progress):
    missing = [
        block
        for block in _blocks(plans)
        if not all((folder / plan.path).is_file() for plan in block)
    ]
    if not missing:
        return
    for split in {plan.split for plan in plans}:
        (folder / split).mkdir(exist_ok=True)

    def make(block):
        _make_block(folder, block, frame_size)
        return len(block)

    total = sum(map(len, missing))
    with (
        tqdm.tqdm(desc="generating clips", total=total, disable=not progress) as bar,
        # Threads are enough: the encoders and the synthesizer run without the global
        # interpreter lock.
        concurrent.futures.ThreadPoolExecutor(num_workers) as pool,
    ):
        for made in pool.map(make, missing):
            bar.update(made)


def _blocks(plans):
    """Yields blocks of plans; each block has clips of one split."""
    for split in ("train", "test"):
        of_split = [plan for plan in plans if plan.split == split]
        for first in range(0, len(of_split), _BLOCK):
            yield of_split[first : first + _BLOCK]


def _make_block(folder, block, frame_size):
    waveforms, rate = synthesize_speech([plan.utterance for plan in block])
    for plan, waveform in zip(block, waveforms, strict=True):
        encode_clip(
            folder / plan.path,
            render_moving_shape(plan.video, plan.appearance, NUM_FRAMES, frame_size),
            FRAMES_PER_SECOND,
            _to_track(waveform, rate, plan),
            _SAMPLING_RATE,
        )


def _to_track(speech, rate, plan):
    """Returns the audio of a whole clip: silence, speech, silence."""
    speech = _resample(speech, rate)
    # Dynamic range compression as in broadcast speech: soft parts become louder.
    speech = np.tanh(_COMPRESSION * speech / np.abs(speech).max())
    speech *= plan.loudness
    track = np.zeros(round(DURATION * _SAMPLING_RATE), np.float32)
    first = round(plan.delay * _SAMPLING_RATE)
    track[first : first + len(speech)] = speech
    return track


def _resample(waveform, rate):
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=_SAMPLING_RATE)
    frame = av.AudioFrame.from_ndarray(waveform[None], format="fltp", layout="mono")
    frame.sample_rate = rate
    blocks = [*resampler.resample(frame), *resampler.resample(None)]
    return np.concatenate([block.to_ndarray()[0] for block in blocks])
