"""The base class."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_vatt import harmonization as h
from tests.harmonization._inputs import gram_of, sample_gradients
from tests.harmonization._properties import every_method


class ConstantWeights(h.Harmonizer):
    def __init__(self, weights):
        self.weights = weights

    def harmonize(self, gram, step):
        self.seen = ops.convert_to_numpy(gram)
        return ops.convert_to_tensor(self.weights, "float32"), True


def test_a_subclass_never_sees_a_number_that_is_not_finite():
    harmonizer = ConstantWeights([2.0, 2.0])
    _, apply = harmonizer([[np.nan, 1.0], [1.0, np.inf]])
    assert np.isfinite(harmonizer.seen).all()
    assert not bool(apply)


def test_a_subclass_sees_zeros_in_the_row_and_column_of_a_lost_gradient():
    # A norm of 1e-25 has no float32 square, yet its products with others do.
    harmonizer = ConstantWeights([2.0, 2.0])
    weights, apply = harmonizer([[1e10, -1e-20], [-1e-20, 0.0]])
    np.testing.assert_array_equal(harmonizer.seen, np.array([[1e10, 0], [0, 0]], "f4"))
    np.testing.assert_array_equal(ops.convert_to_numpy(weights), [2.0, 1.0])
    assert bool(apply)


def test_a_weight_that_is_not_finite_skips_the_step():
    weights, apply = ConstantWeights([2.0, np.inf])(np.eye(2))
    np.testing.assert_array_equal(ops.convert_to_numpy(weights), [1.0, 1.0])
    assert not bool(apply)


@pytest.mark.parametrize("shape", [(), (4,), (2, 3), (0, 0), (2, 2, 3)])
def test_a_gram_matrix_of_the_wrong_shape_is_refused(shape):
    with pytest.raises(ValueError, match="square matrices"):
        h.Sum()(np.ones(shape))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "int32"])
def test_the_gram_matrix_may_have_any_dtype(dtype):
    gram = ops.cast([[4.0, -2.0], [-2.0, 2.0]], dtype)
    weights, _ = h.Realignment()(gram)
    assert ops.dtype(weights) == "float32"
    np.testing.assert_array_equal(ops.convert_to_numpy(weights), [1.5, 2.0])


def test_the_base_class_says_what_to_implement():
    with pytest.raises(NotImplementedError, match="must implement `harmonize"):
        h.Harmonizer()(np.eye(2))


@every_method()
def test_weights_do_not_depend_on_the_default_float(promise):
    size = promise.num_losses[-1]
    gram = gram_of(sample_gradients("conflicting", size))
    expected = promise.harmonizer(gram)[0]
    default = keras.config.floatx()
    keras.config.set_floatx("float16")
    try:
        weights = promise.harmonizer(gram)[0]
    finally:
        keras.config.set_floatx(default)
    assert ops.dtype(weights) == "float32"
    np.testing.assert_array_equal(
        ops.convert_to_numpy(weights), ops.convert_to_numpy(expected)
    )


@pytest.mark.parametrize("harmonizer", [h.MGDA(), h.UPGrad(), h.CAGrad(), h.DualProj()])
def test_methods_that_enumerate_refuse_more_than_ten_losses(harmonizer):
    with pytest.raises(ValueError, match="at most 10. Received: 11 losses"):
        harmonizer(np.eye(11))


def test_methods_that_enumerate_take_ten_losses():
    # Nine orthogonal gradients, and the negative of their sum.
    gradients = np.eye(10)
    gradients[9] = -gradients[:9].sum(axis=0)
    weights, _ = h.MGDA()(gradients @ gradients.T)
    np.testing.assert_allclose(ops.convert_to_numpy(weights), 0.1, rtol=1e-4)
