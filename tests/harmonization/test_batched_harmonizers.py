"""A batch of Gram matrices gives what each of them gives on its own."""

import numpy as np
import pytest
from keras import ops

from keras_vatt import harmonization as h
from tests.harmonization._inputs import gram_of, sample_gradients
from tests.harmonization._properties import OF_EACH_CLASS, is_stateless

# Each size of a matrix with one shape of the leading axes.
LEADING = {2: (5,), 3: (2, 3)}
sizes = pytest.mark.parametrize("size", LEADING)
_ILL_CONDITIONED = (h.AlignedMTL, h.FairGrad, h.NashMTL)


def _batch(size):
    conflicting = gram_of(sample_gradients("conflicting", size))
    zero_gradient = conflicting.copy()
    zero_gradient[0] = zero_gradient[:, 0] = 0
    not_finite = conflicting.copy()
    not_finite[0, 1] = not_finite[1, 0] = np.nan
    others = [
        gram_of(sample_gradients(kind, size))
        for kind in ("parallel", "opposite", "agreeing")
    ]
    grams = np.stack([conflicting, zero_gradient, not_finite, *others])
    return grams[: np.prod(LEADING[size])].reshape(*LEADING[size], size, size)


def _assert_each_alone(function, grams, tolerance=1e-6):
    """Compares the outputs for a batch with those for each matrix."""
    batched = [ops.convert_to_numpy(output) for output in function(grams)]
    for index in np.ndindex(*grams.shape[:-2]):
        for output, expected in zip(batched, function(grams[index]), strict=True):
            expected = ops.convert_to_numpy(expected)
            assert output.dtype == expected.dtype
            np.testing.assert_allclose(
                output[index],
                expected,
                rtol=tolerance,
                atol=tolerance,
                err_msg=str(index),
            )
    return batched


@pytest.mark.parametrize(
    ("harmonizer", "size"),
    [
        pytest.param(promise.harmonizer, size, id=f"{name}-{size}")
        for name, promise in OF_EACH_CLASS.items()
        for size in LEADING
        if is_stateless(promise) and size in promise.num_losses
    ],
)
def test_each_matrix_of_a_batch_is_harmonized_alone(harmonizer, size):
    # Nearly parallel or opposite gradients magnify rounding, such as the order of sums.
    tolerance = 3e-3 if isinstance(harmonizer, _ILL_CONDITIONED) else 1e-6
    weights, apply = _assert_each_alone(harmonizer, _batch(size), tolerance)
    assert weights.shape == (*LEADING[size], size)
    assert apply.shape == LEADING[size]


@sizes
def test_norms_and_cosines_of_a_batch_are_those_of_each_matrix(size):
    def read(grams):
        return h.gradient_norms(grams), h.cosine_matrix(grams), h.smallest_cosine(grams)

    finite = np.nan_to_num(_batch(size))
    norms, cosines, smallest = _assert_each_alone(read, finite)
    assert norms.shape == (*LEADING[size], size)
    assert cosines.shape == (*LEADING[size], size, size)
    assert smallest.shape == LEADING[size]


class ForOneMatrix(h.Harmonizer):
    """Ones and a flag, as a subclass computes them that expects `(K, K)`."""

    def __init__(self, flag):
        self.flag = flag

    def harmonize(self, gram, step):
        return ops.ones(gram.shape[0]), self.flag


class OneFlag(h.Harmonizer):
    """Skips all matrices for one of them."""

    def harmonize(self, gram, step):
        return ops.ones_like(gram[..., 0]), ops.min(gram) >= 0


# Also the batch of K matrices, for which `gram.shape[0]` happens to be K.
@pytest.mark.parametrize("size", [2, 5])
def test_weights_that_do_not_fit_the_batch_are_refused(size):
    grams = np.stack([np.eye(2)] * size)
    with pytest.raises(ValueError, match=r"ForOneMatrix.harmonize` must .* `weights`"):
        ForOneMatrix(True)(grams)
    with pytest.raises(ValueError, match=r"OneFlag.harmonize` must return `apply`"):
        OneFlag()(grams)


@pytest.mark.parametrize("flag", [True, np.True_, np.array(True)])
def test_a_subclass_for_one_matrix_takes_one_matrix(flag):
    weights, apply = ForOneMatrix(flag)(np.eye(2))
    np.testing.assert_array_equal(ops.convert_to_numpy(weights), [1.0, 1.0])
    assert bool(apply)
