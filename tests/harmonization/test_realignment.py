"""Algorithm 1."""

import numpy as np
import pytest
from keras import ops

from keras_vatt import harmonization as h
from keras_vatt.harmonization._realignment import realignment_weights
from tests.harmonization._inputs import (
    KINDS,
    SIZES,
    assert_same_update,
    sample_gradients,
    weights_of,
)


def _algorithm_1(video_audio, video_text):
    """The update of the paper, on vectors."""
    product = video_audio @ video_text
    if product >= 0:
        return video_audio + video_text
    return (
        video_audio
        - product / (video_text @ video_text) * video_text
        + video_text
        - product / (video_audio @ video_audio) * video_audio
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(5))
def test_the_update_of_two_losses_is_that_of_algorithm_1(kind, seed):
    gradients = sample_gradients(kind, 2, seed)
    update = weights_of(h.Realignment(), gradients) @ gradients
    difference = np.linalg.norm(update - _algorithm_1(*gradients))
    assert difference <= 1e-5 * np.linalg.norm(gradients, axis=1).sum()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", SIZES)
def test_each_gradient_loses_its_components_along_all_it_conflicts_with(kind, size):
    gradients = sample_gradients(kind, size)
    squares = (gradients**2).sum(axis=1)
    expected = np.ones(size)
    for i in range(size):
        for j in range(size):
            if gradients[i] @ gradients[j] < 0:
                expected[j] -= gradients[i] @ gradients[j] / squares[j]
    weights = weights_of(h.Realignment(), gradients)
    np.testing.assert_allclose(weights, expected, rtol=1e-4)
    assert_same_update(weights, expected, gradients)
    assert weights.min() >= 1


def test_both_weights_of_conflicting_losses_are_greater_than_one():
    weights = realignment_weights(ops.array([[1.0, -0.25], [-0.25, 4.0]]))
    np.testing.assert_array_equal(ops.convert_to_numpy(weights), [1.25, 1.0625])


def test_orthogonal_gradients_are_left_as_they_are():
    weights, _ = h.Realignment()(np.diag([3.0, 0.1]))
    np.testing.assert_array_equal(ops.convert_to_numpy(weights), [1.0, 1.0])
