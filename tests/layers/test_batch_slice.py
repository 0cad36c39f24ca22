"""Random numbers of layers that see a slice of a batch."""

import numpy as np
from keras import ops

from keras_vatt.layers import DropToken, SeededDropout
from keras_vatt.layers._batch_slice import batch_slice


def outputs_in_slices(layer, inputs, slices):
    """What a layer gives in each slice, always from the same seed."""
    outputs, seed = [], ops.copy(layer.seed_generator.state.value)
    for index in slices:
        layer.seed_generator.state.assign(seed)
        with batch_slice(index):
            outputs.append(ops.convert_to_numpy(layer(inputs, training=True)))
    return outputs


def test_each_slice_has_dropout_masks_of_its_own():
    layer = SeededDropout(0.5, seed=1)
    first, second, again = outputs_in_slices(layer, np.ones((4, 50)), [0, 1, 0])
    assert np.any(first != second)
    np.testing.assert_array_equal(first, again)


def test_first_slice_is_that_of_a_batch_without_slices():
    layer = SeededDropout(0.5, seed=1)
    np.testing.assert_array_equal(
        *outputs_in_slices(layer, np.ones((4, 50)), [None, 0])
    )


def test_all_slices_keep_the_same_tokens():
    layer = DropToken(num_positions=20)
    tokens = np.arange(20, dtype="float32").reshape(1, 20, 1)
    first, second = outputs_in_slices(layer, tokens, [0, 1])
    assert first.shape == (1, 10, 1)
    np.testing.assert_array_equal(first, second)
