"""Gradients of all sorts, through the Gram matrix, to weights."""

import hypothesis
import hypothesis.strategies as st
import numpy as np
from keras import ops

from keras_vatt import harmonization as h
from tests.harmonization._properties import OF_EACH_CLASS

SHAPES = [(3,), (2, 2)]

fuzzed = hypothesis.settings(
    max_examples=25, deadline=None, derandomize=True, database=None
)

numbers = st.floats(-8, 8, width=16)
extremes = st.sampled_from([0.0, 1e30, -1e30, 1e-30, 1e15, -1e15, 1e-15])
not_finite = st.sampled_from([np.nan, np.inf, -np.inf])


def _arrays(elements):
    return st.tuples(
        *[
            st.lists(elements, min_size=size, max_size=size).map(
                lambda values, shape=shape: np.reshape(values, shape).astype("f4")
            )
            for shape in SHAPES
            for size in [int(np.prod(shape))]
        ]
    ).map(list)


finite = _arrays(numbers)
any_gradient = st.one_of(
    finite,
    _arrays(st.one_of(numbers, extremes)),
    _arrays(st.one_of(numbers, not_finite)),
)


def _losses(gradient, min_size=2):
    """Gradients of some losses, of which some are multiples of the first."""

    def with_multiples(gradients, factors, reached):
        first = gradients[0]
        for position, factor in enumerate(factors):
            if factor is not None and 0 < position < len(gradients):
                gradients[position] = [np.float32(factor) * array for array in first]
        return [
            [array if keep else None for array, keep in zip(arrays, keeps, strict=True)]
            for arrays, keeps in zip(gradients, reached, strict=False)
        ]

    return st.builds(
        with_multiples,
        st.lists(gradient, min_size=min_size, max_size=3),
        st.lists(st.sampled_from([None, None, 1.0, -1.0, 2.0, 0.0]), max_size=3),
        st.lists(st.tuples(*[st.booleans()] * len(SHAPES)), min_size=3, max_size=3),
    )


def _as_tensors(gradients, dtype):
    return [
        [None if array is None else ops.cast(array, dtype) for array in arrays]
        for arrays in gradients
    ]


def _flat_float64(tensors):
    return np.array(
        [
            np.concatenate(
                [
                    np.zeros(int(np.prod(shape)))
                    if tensor is None
                    else np.ravel(ops.convert_to_numpy(ops.cast(tensor, "float32")))
                    for tensor, shape in zip(per_loss, SHAPES, strict=True)
                ]
            )
            for per_loss in tensors
        ],
        "float64",
    )


@fuzzed
@hypothesis.given(
    _losses(finite, min_size=1), st.sampled_from(["float32", "bfloat16", "float16"])
)
def test_gram_matrix_is_the_float64_one_in_any_dtype(gradients, dtype):
    tensors = _as_tensors(gradients, dtype)
    flat = _flat_float64(tensors)
    gram = ops.convert_to_numpy(h.gradient_gram(tensors))
    lengths = np.linalg.norm(flat, axis=1)
    tolerance = 1e-6 * np.outer(lengths, lengths) + 1e-37
    assert (np.abs(gram - flat @ flat.T) <= tolerance).all()


@fuzzed
@hypothesis.given(_losses(any_gradient), st.sampled_from(["float32", "bfloat16"]))
def test_every_method_gives_finite_weights_or_skips_the_step(gradients, dtype):
    gram = h.gradient_gram(_as_tensors(gradients, dtype))
    is_finite = np.isfinite(ops.convert_to_numpy(gram)).all()
    absent = ops.convert_to_numpy(ops.diagonal(gram)) == 0
    for name, promise in OF_EACH_CLASS.items():
        if len(gradients) not in promise.num_losses:
            continue
        weights, apply = promise.harmonizer(gram, 7)[:2]
        weights = ops.convert_to_numpy(weights)
        assert np.isfinite(weights).all(), name
        assert (weights[absent] == 1).all(), name
        if promise.nonnegative:
            assert weights.min() >= 0, name
        if not is_finite:
            assert not bool(apply), name
            assert (weights == 1).all(), name


@fuzzed
@hypothesis.given(_losses(finite))
def test_the_update_of_upgrad_conflicts_with_no_gradient(gradients):
    tensors = _as_tensors(gradients, "float32")
    flat = _flat_float64(tensors)
    weights, _ = h.UPGrad()(h.gradient_gram(tensors))
    weights = ops.convert_to_numpy(weights)
    lengths = np.linalg.norm(flat, axis=1)
    bound = 2e-3 * lengths * (weights * lengths).sum()
    assert (flat @ (weights @ flat) >= -bound - 1e-30).all()


@fuzzed
@hypothesis.given(_losses(finite))
def test_no_convex_combination_is_shorter_than_the_update_of_mgda(gradients):
    tensors = _as_tensors(gradients, "float32")
    flat = _flat_float64(tensors)
    flat = flat[np.linalg.norm(flat, axis=1) > 0]
    hypothesis.assume(len(flat) > 1)
    weights, _ = h.MGDA()((flat @ flat.T).astype("f4"))
    length = np.linalg.norm(ops.convert_to_numpy(weights) @ flat)
    mixtures = np.random.default_rng(0).dirichlet(np.full(len(flat), 0.5), size=200)
    shortest = np.linalg.norm(
        np.concatenate([mixtures, np.eye(len(flat))]) @ flat, axis=1
    )
    assert length <= shortest.min() + 2e-3 * np.linalg.norm(flat, axis=1).max()
