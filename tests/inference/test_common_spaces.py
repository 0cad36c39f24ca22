"""Vectors of several modalities are the mean of their unit vectors."""

import numpy as np
import pytest

from keras_vatt.inference._common_spaces import common_spaces, fuse
from keras_vatt.layers import JointBridgeHead
from tests.models.tiny import tiny_vatt

pytestmark = pytest.mark.once


def by_formula(rows):
    """Computes the normalized mean of the unit vectors of one example."""
    mean = np.mean([row / np.sqrt(row @ row) for row in rows], axis=0)
    return mean / np.sqrt(mean @ mean)


def test_fused_rows_are_those_of_the_formula():
    video, audio = np.random.default_rng(0).normal(size=(2, 5, 7)) * [[[9.0]], [[0.1]]]
    expected = [by_formula(rows) for rows in zip(video, audio, strict=True)]
    np.testing.assert_allclose(fuse([video, audio]), expected, rtol=0, atol=1e-12)


def test_a_missing_modality_has_no_influence():
    video, audio = np.random.default_rng(0).normal(size=(2, 2, 7))
    audio[0] = 0.0
    fused = fuse([video, audio])
    expected = video[0] / np.linalg.norm(video[0])
    np.testing.assert_allclose(fused[0], expected, rtol=0, atol=1e-12)
    both = by_formula([video[1], audio[1]])
    np.testing.assert_allclose(fused[1], both, rtol=0, atol=1e-12)
    assert not fuse([np.zeros((1, 3)), np.zeros((1, 3))]).any()


def test_narrower_vectors_are_padded_with_zeros():
    wide, narrow = np.array([[3.0, 0.0, 4.0]]), np.array([[0.0, 2.0]])
    expected = by_formula([wide[0], np.array([0.0, 2.0, 0.0])])
    np.testing.assert_allclose(fuse([wide, narrow])[0], expected, rtol=0, atol=1e-12)


def test_each_bridge_head_has_its_spaces():
    assert common_spaces(tiny_vatt()) == {
        "video_audio": {"video": "to_audio", "audio": "to_video"},
        "video_text": {"video": "to_text", "text": "to_video"},
    }
    (joint,) = common_spaces(tiny_vatt(bridge_head=JointBridgeHead(8))).values()
    assert set(joint) == {"video", "audio", "text"}
