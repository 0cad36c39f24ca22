"""The Gram matrix of gradients, and their weighted sum."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_vatt import harmonization as h


def _gradients(size, seed=0):
    rng = np.random.default_rng(seed)
    return [
        [rng.normal(size=shape).astype("f4") for shape in [(3,), (2, 5), ()]]
        for _ in range(size)
    ]


def _flat(gradients):
    return np.array(
        [np.concatenate([np.ravel(g) for g in per_loss]) for per_loss in gradients],
        "float64",
    )


@pytest.mark.parametrize("size", [1, 2, 4])
def test_gram_matrix_is_that_of_the_concatenated_gradients(size):
    gradients = _gradients(size)
    gram = ops.convert_to_numpy(h.gradient_gram(gradients))
    assert gram.dtype == "float32"
    np.testing.assert_allclose(gram, _flat(gradients) @ _flat(gradients).T, rtol=1e-5)
    np.testing.assert_array_equal(gram, gram.T)


def test_gram_matrix_is_the_sum_over_the_variables():
    gradients = _gradients(3)
    per_variable = [
        ops.convert_to_numpy(h.gradient_gram([[gradient] for gradient in column]))
        for column in zip(*gradients, strict=True)
    ]
    gram = ops.convert_to_numpy(h.gradient_gram(gradients))
    np.testing.assert_allclose(gram, sum(per_variable), rtol=1e-6)


def test_a_variable_that_a_loss_does_not_reach_has_gradient_zero():
    first, second = _gradients(2)
    with_none = [[first[0], None, first[2]], [None, None, second[2]]]
    with_zero = [
        [first[0], 0 * first[1], first[2]],
        [0 * second[0], 0 * second[1], second[2]],
    ]
    np.testing.assert_array_equal(
        ops.convert_to_numpy(h.gradient_gram(with_none)),
        ops.convert_to_numpy(h.gradient_gram(with_zero)),
    )


def test_a_loss_that_reaches_nothing_has_a_zero_row():
    gradients = [[None, None], [np.ones(2, "f4"), None]]
    gram = ops.convert_to_numpy(h.gradient_gram(gradients))
    np.testing.assert_array_equal(gram, [[0, 0], [0, 2]])


def test_products_of_bfloat16_gradients_are_taken_and_summed_in_float32():
    # 1 + 2^-7 squared does not fit bfloat16, nor does any sum of ones above 256.
    gradient = ops.full((4096,), 1 + 2**-7, dtype="bfloat16")
    gram = ops.convert_to_numpy(h.gradient_gram([[gradient]]))
    np.testing.assert_allclose(gram, [[4096 * (1 + 2**-7) ** 2]], rtol=1e-6)


def test_squares_of_float16_gradients_do_not_overflow():
    gradient = ops.full((4,), 300.0, dtype="float16")
    gram = ops.convert_to_numpy(h.gradient_gram([[gradient]]))
    np.testing.assert_array_equal(gram, [[360_000.0]])


@pytest.mark.parametrize(
    ("gradients", "message"),
    [
        ([], "at least one list"),
        ([[np.ones(2)], [np.ones(2), None]], r"lists of lengths \[1, 2\]"),
        ([[np.ones((2, 1))], [np.ones(2)]], r"shapes \[\(2, 1\), \(2,\)\]"),
    ],
)
def test_gradients_that_do_not_fit_together_are_refused(gradients, message):
    with pytest.raises(ValueError, match=message):
        h.gradient_gram(gradients)
    with pytest.raises(ValueError, match=message):
        h.combine_gradients(gradients, np.ones(len(gradients)))


def test_combined_gradients_are_the_weighted_sum():
    gradients = _gradients(3)
    weights = [0.5, -2.0, 3.0]
    combined = h.combine_gradients(gradients, ops.convert_to_tensor(weights))
    flat = np.concatenate([np.ravel(ops.convert_to_numpy(g)) for g in combined])
    np.testing.assert_allclose(flat, weights @ _flat(gradients), rtol=1e-4, atol=1e-6)
    shapes = [tuple(gradient.shape) for gradient in combined]
    assert shapes == [(3,), (2, 5), ()]


def test_combined_gradients_leave_none_only_where_no_loss_reaches():
    combined = h.combine_gradients([[None, ops.ones(2)], [None, None]], [3.0, 5.0])
    assert combined[0] is None
    np.testing.assert_array_equal(ops.convert_to_numpy(combined[1]), [3.0, 3.0])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_combined_gradients_are_summed_in_float32_and_keep_their_dtype(dtype):
    # The terms 2000.5 and -2000 are no bfloat16 or float16 numbers.
    first, second = ops.full((2,), 1.0, dtype), ops.full((2,), 1.0, dtype)
    (combined,) = h.combine_gradients([[first], [second]], [4000.25, -4000.0])
    assert ops.dtype(combined) == dtype
    np.testing.assert_array_equal(
        ops.convert_to_numpy(ops.cast(combined, "float32")), 0.25
    )


def test_a_wrong_number_of_weights_is_refused():
    with pytest.raises(ValueError, match="each of the 2 losses"):
        h.combine_gradients([[np.ones(2)], [np.ones(2)]], [1.0, 1.0, 1.0])


def test_norms_and_cosines_are_those_of_the_gradients():
    flat = _flat(_gradients(4))
    norms = np.linalg.norm(flat, axis=1)
    gram = h.gradient_gram(_gradients(4))
    np.testing.assert_allclose(
        ops.convert_to_numpy(h.gradient_norms(gram)), norms, rtol=1e-6
    )
    expected = flat @ flat.T / np.outer(norms, norms)
    cosines = ops.convert_to_numpy(h.cosine_matrix(gram))
    np.testing.assert_allclose(cosines, expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(np.diag(cosines), 1)


def test_cosines_of_a_zero_gradient_are_zero():
    cosines = h.cosine_matrix([[0.0, 0.0], [0.0, 4.0]])
    np.testing.assert_array_equal(ops.convert_to_numpy(cosines), [[0, 0], [0, 1]])


def test_cosines_are_clipped_to_those_of_angles():
    cosines = h.cosine_matrix([[1.0, -1.0001], [-1.0001, 1.0]])
    np.testing.assert_array_equal(ops.convert_to_numpy(cosines), [[1, -1], [-1, 1]])


@pytest.mark.parametrize("scale", [1e-18, 1e18])
def test_cosines_of_gradients_of_extreme_norm_are_exact(scale):
    norms = np.array([1.0, scale])
    gram = np.array([[1.0, -0.5], [-0.5, 1.0]]) * np.outer(norms, norms)
    cosines = ops.convert_to_numpy(h.cosine_matrix(gram.astype("f4")))
    np.testing.assert_allclose(cosines, [[1, -0.5], [-0.5, 1]], rtol=1e-6)


tensorflow_only = pytest.mark.skipif(
    keras.config.backend() != "tensorflow", reason="IndexedSlices are TensorFlow's"
)


@tensorflow_only
def test_repeated_rows_of_a_sparse_gradient_add_up_in_float32():
    import tensorflow as tf

    rows = tf.ones((257, 1), "bfloat16")  # 257 is no bfloat16 number.
    gradient = tf.IndexedSlices(rows, tf.zeros(257, "int32"), tf.constant([2, 1]))
    np.testing.assert_array_equal(h.gradient_gram([[gradient]]), [[257.0**2]])


@tensorflow_only
@pytest.mark.parametrize("jit_compile", [False, True])
def test_sparse_embedding_gradients_count_every_repeated_word(jit_compile):
    import tensorflow as tf

    embedding = keras.layers.Embedding(6, 3)
    words = tf.constant([[1, 4, 1], [1, 0, 4]])
    embedding.build(words.shape)
    table = embedding.embeddings.value

    @tf.function(jit_compile=jit_compile)
    def gram_and_sum(lookup):
        with tf.GradientTape(persistent=True) as tape:
            embedded = lookup(words)
            losses = [tf.reduce_sum(embedded**2), tf.reduce_sum(embedded[:, :2])]
        gradients = [[tape.gradient(loss, table)] for loss in losses]
        return (
            h.gradient_gram(gradients),
            h.combine_gradients(gradients, [2.0, 3.0])[0],
            isinstance(gradients[0][0], tf.IndexedSlices),
        )

    def dense_lookup(words):
        return tf.one_hot(words, 6) @ table

    gram, combined, is_sparse = gram_and_sum(embedding)
    dense_gram, dense_combined, dense_is_sparse = gram_and_sum(dense_lookup)
    assert bool(is_sparse)
    assert not bool(dense_is_sparse)
    np.testing.assert_allclose(gram, dense_gram, rtol=1e-5)
    np.testing.assert_allclose(combined, dense_combined, rtol=1e-5, atol=1e-7)


def test_surgery_on_each_parameter_alone_is_another_algorithm():
    # The losses agree on the whole, and conflict on the second variable only.
    gradients = [
        [np.array([3.0]), np.array([1.0])],
        [np.array([2.0]), np.array([-1.0])],
    ]
    together, _ = h.Realignment()(h.gradient_gram(gradients))
    alone, _ = h.Realignment()(h.gradient_gram([[gradients[0][1]], [gradients[1][1]]]))
    np.testing.assert_array_equal(ops.convert_to_numpy(together), [1.0, 1.0])
    np.testing.assert_array_equal(ops.convert_to_numpy(alone), [2.0, 2.0])
