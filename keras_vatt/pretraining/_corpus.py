"""Train clips and held-out clips of a run."""

import numpy as np

from keras_vatt.data import (
    CachedClips,
    ClipSource,
    build_cache,
    make_demo_corpus,
    read_corpus,
)
from keras_vatt.pretraining._devices import process_place
from keras_vatt.pretraining._errors import PretrainingError

# Limit on the files that are held out of a corpus without a test split.
_MAX_TEST_FILES = 1000


def read_segments(settings, output):
    """Reads the corpus of a run and divides it into train and test segments.

    Args:
        settings: `PretrainSettings`.
        output: path of the run's folder, in which the demo corpus is made.

    Returns:
        Tuple of the list of train segments, the list of test segments, and the list of
        `Finding` on skipped files.

    Raises:
        PretrainingError: if the corpus has no clip to train on, or a file of it can't
            be used and `settings.on_error` is `"raise"`.
    """
    source = settings.data
    if source == "demo" and process_place()[1] > 1:
        raise PretrainingError(
            "several processes can't make the demo corpus: make it with "
            "`keras_vatt.data.make_demo_corpus`, and give its folder as --data"
        )
    if source == "demo":
        source = make_demo_corpus(
            output / "corpus",
            train_clips=settings.demo_clips,
            seed=settings.seed,
            misaligned_audio=settings.misaligned_audio,
            misaligned_text=settings.misaligned_text,
            num_workers=settings.num_workers,
        )
    segments, findings = read_corpus(
        source, settings.allow_outside, settings.caption_language
    )
    left_out = [f for f in findings if f.problem.consequence == "skipped"]
    if left_out and settings.on_error == "raise":
        raise PretrainingError(
            f"{left_out[0].where}: {left_out[0].reason} (the first of "
            f"{len(left_out)} problems; use --on-error skip to skip such files)"
        )
    test = [segment for segment in segments if segment.split == "test"]
    train = [segment for segment in segments if segment.split in ("train", None)]
    if not test:
        train, test = _hold_out(train, settings.test_fraction, settings.seed)
    if not train:
        reasons = "; ".join(f"{f.where}: {f.reason}" for f in findings[:3])
        raise PretrainingError(
            f"there is nothing to train on in {str(source)!r}. {reasons}".strip()
        )
    return train, test, findings


def open_train_clips(settings, segments, folder, spec, tokenizer):
    """Opens the train clips, which are decoded once into a cache, or on each access.

    Args:
        settings: `PretrainSettings`.
        segments: list of `Segment`.
        folder: path of the cache.
        spec: `ClipSpec`.
        tokenizer: callable from strings to token ids.

    Returns:
        `CachedClips` or `ClipSource`.
    """
    source = ClipSource(
        segments,
        spec,
        tokenizer,
        candidates=settings.candidates,
        training=not settings.cache,
        seed=settings.seed,
        num_workers=settings.num_workers,
        short_clips=settings.short_clips,
        on_error=settings.on_error,
    )
    return _decoded_once(source, settings, folder)


def open_test_clips(settings, segments, folder, spec, tokenizer):
    """Opens held-out clips, each with its own caption; see `open_train_clips`."""
    source = ClipSource(
        segments,
        spec,
        tokenizer,
        candidates=1,
        num_workers=settings.num_workers,
        short_clips=settings.short_clips,
        on_error=settings.on_error,
    )
    return _decoded_once(source, settings, folder)


def _decoded_once(source, settings, folder):
    if not settings.cache or not len(source):
        return source
    build_cache(source, folder, num_workers=settings.num_workers)
    return CachedClips(folder, source.tokenize)


def _hold_out(segments, fraction, seed):
    """Holds out whole files, so that no scene is in both splits."""
    files = sorted({segment.path for segment in segments})
    count = min(round(fraction * len(files)), _MAX_TEST_FILES)
    chosen = np.random.default_rng(seed).permutation(len(files))[:count]
    test_files = {files[index] for index in chosen}
    train = [segment for segment in segments if segment.path not in test_files]
    test = [segment for segment in segments if segment.path in test_files]
    return train, test
