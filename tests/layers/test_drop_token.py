"""DropToken counts from the size of the position tables."""

import numpy as np
import pytest
from keras import ops

from keras_vatt.layers import DropToken


def kept_positions(layer, length, training=True):
    """Positions left of `length` tokens that hold their own position."""
    tokens = np.tile(np.arange(length, dtype="float32")[None, :, None], (2, 1, 3))
    kept = ops.convert_to_numpy(layer(tokens, training=training))
    assert np.ptp(kept, axis=(0, 2)).max() == 0
    return kept[0, :, 0].tolist()


@pytest.mark.parametrize("length", [20, 16, 11, 10, 9, 1])
def test_count_is_that_of_a_full_size_input(length):
    kept = kept_positions(DropToken(num_positions=20, keep_rate=0.5), length)
    assert len(kept) == len(set(kept)) == min(length, 10)


def test_count_is_rounded_down():
    assert len(kept_positions(DropToken(num_positions=7, keep_rate=0.5), 7)) == 3


def test_short_input_keeps_its_order():
    layer = DropToken(num_positions=20)
    assert kept_positions(layer, 10) == list(range(10))


def test_inference_keeps_all():
    layer = DropToken(num_positions=20)
    assert kept_positions(layer, 20, training=False) == list(range(20))


def test_choice_differs_from_call_to_call():
    layer = DropToken(num_positions=20)
    assert kept_positions(layer, 20) != kept_positions(layer, 20)


@pytest.mark.parametrize("keep_rate", [0.0, 0.04, 1.1])
def test_rate_that_keeps_no_token_or_too_many_is_refused(keep_rate):
    with pytest.raises(ValueError, match="keep_rate"):
        DropToken(num_positions=20, keep_rate=keep_rate)
