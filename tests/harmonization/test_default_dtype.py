"""Everything is computed in float32, whatever Keras' default dtype is."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_vatt import harmonization as h
from tests.harmonization._inputs import gram_of, sample_gradients
from tests.harmonization._properties import every_method


@pytest.fixture
def use_half_precision():
    """Function that makes bfloat16 the default dtype for the rest of the test."""
    before = keras.config.floatx()
    yield lambda: keras.config.set_floatx("bfloat16")
    keras.config.set_floatx(before)


def float32_array(tensor):
    assert keras.backend.standardize_dtype(tensor.dtype) == "float32"
    return ops.convert_to_numpy(tensor)


@every_method()
@pytest.mark.parametrize("kind", ["conflicting", "opposite"])
def test_weights_do_not_depend_on_it(promise, kind, use_half_precision):
    gram = gram_of(sample_gradients(kind, promise.num_losses[-1]))
    expected = float32_array(promise.harmonizer(gram)[0])
    use_half_precision()
    np.testing.assert_array_equal(float32_array(promise.harmonizer(gram)[0]), expected)


def test_gram_matrix_and_what_is_read_from_it_do_not_depend_on_it(use_half_precision):
    gradients = sample_gradients("conflicting", 3).astype("float32")
    gradients = [[row[:5], None, row[5:]] for row in gradients]
    functions = [h.gradient_norms, h.cosine_matrix, h.smallest_cosine]

    def results():
        gram = h.gradient_gram(
            [
                [x if x is None else ops.array(x) for x in per_loss]
                for per_loss in gradients
            ]
        )
        return [float32_array(t) for t in (gram, *(f(gram) for f in functions))]

    expected = results()
    use_half_precision()
    for actual, wanted in zip(results(), expected, strict=True):
        np.testing.assert_array_equal(actual, wanted)


@pytest.mark.parametrize("step", [0, 123_457, 1_000_000])
def test_threshold_does_not_depend_on_it(step, use_half_precision):
    threshold = h.LinearThreshold(-0.7, 0.9)
    expected = float32_array(threshold(step))
    use_half_precision()
    np.testing.assert_array_equal(float32_array(threshold(step)), expected)
