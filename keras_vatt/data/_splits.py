"""Divides a corpus into train and test segments."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keras_vatt.data._manifest import Segment

# Limit on the files that are held out of a corpus without a test split.
_MAX_TEST_FILES = 1000


def divide(
    segments: Sequence[Segment], test_fraction: float, seed: int
) -> tuple[list[Segment], list[Segment]]:
    """Divides segments into those to train on and those that are held out.

    Segments of the split `"test"` are held out. Without any, whole files are, so that
    no scene is in both parts: at most 1,000. Segments of other splits than `"train"`
    and `"test"` are in neither part.

    Args:
        segments: Sequence of `Segment`.
        test_fraction: float. Fraction of the files that is held out.
        seed: int. Seed of the choice.

    Returns:
        Tuple of two lists of `Segment`.
    """
    test = [segment for segment in segments if segment.split == "test"]
    train = [segment for segment in segments if segment.split in ("train", None)]
    if test:
        return train, test
    files = sorted({segment.path for segment in train})
    count = min(round(test_fraction * len(files)), _MAX_TEST_FILES)
    chosen = np.random.default_rng(seed).permutation(len(files))[:count]
    test_files = {files[index] for index in chosen}
    test = [segment for segment in train if segment.path in test_files]
    return [segment for segment in train if segment.path not in test_files], test
