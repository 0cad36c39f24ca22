"""MIL-NCE candidates are the captions nearest in time."""

import numpy as np
import pytest

from keras_vatt.data import Segment, nearest_captions

pytestmark = pytest.mark.once


def segments_at(centers, captions=None):
    captions = captions or [f"caption {number}" for number in range(len(centers))]
    return [
        Segment("a.mp4", center - 1.0, center + 1.0, caption)
        for center, caption in zip(centers, captions, strict=True)
    ]


def test_the_own_caption_comes_first_then_the_nearest():
    segments = segments_at([10.0, 50.0, 13.0, 14.0, 30.0])
    names = ["caption 2", "caption 3", "caption 0", "caption 4", "caption 1"]
    assert nearest_captions(segments, 2, 5) == names
    assert nearest_captions(segments, 2, 2) == names[:2]
    assert nearest_captions(segments, 2, 1) == names[:1]


def test_of_two_equally_near_the_earlier_comes_first():
    segments = segments_at([20.0, 10.0, 0.0])
    assert nearest_captions(segments, 1, 3) == ["caption 1", "caption 2", "caption 0"]


def test_of_several_captions_of_one_moment_the_own_comes_first():
    segments = segments_at([5.0, 5.0, 5.0])
    assert nearest_captions(segments, 1, 2) == ["caption 1", "caption 0"]
    assert nearest_captions(segments, 2, 1) == ["caption 2"]


def test_distance_is_between_centers_not_starts():
    segments = [
        Segment("a.mp4", 10.0, 12.0, "own"),
        Segment("a.mp4", 12.0, 30.0, "long, starts near"),
        Segment("a.mp4", 14.0, 15.0, "short, starts later"),
    ]
    assert nearest_captions(segments, 0, 2) == ["own", "short, starts later"]


@pytest.mark.parametrize("candidates", [1, 3, 5])
def test_order_matches_a_full_sort(candidates):
    centers = np.random.default_rng(0).permutation(100)[:40].astype(float)
    segments = segments_at(centers)
    for index in range(40):
        distances = np.abs(centers - centers[index])
        order = np.lexsort((centers, distances))
        expected = [f"caption {position}" for position in order[:candidates]]
        assert nearest_captions(segments, index, candidates) == expected


def test_too_few_captions_are_repeated_in_order():
    segments = segments_at([0.0, 5.0])
    captions = ["caption 1", "caption 0"] * 2 + ["caption 1"]
    assert nearest_captions(segments, 1, 5) == captions


def test_empty_captions_are_no_candidates():
    segments = segments_at([0.0, 1.0, 2.0], ["a", "", "c"])
    assert nearest_captions(segments, 0, 3) == ["a", "c", "a"]
    assert nearest_captions(segments, 1, 3) == []


def test_segments_without_times_are_taken_as_the_start():
    segments = [Segment("a.mp4", caption="whole"), Segment("a.mp4", 4.0, 6.0, "part")]
    assert nearest_captions(segments, 0, 2) == ["whole", "part"]
