"""Compiled programs give what eager calls give."""

import functools

import keras
import numpy as np
import pytest
from keras import ops

from keras_vatt import harmonization as h
from tests.harmonization._inputs import gram_of, sample_gradients
from tests.harmonization._properties import (
    OF_EACH_CLASS,
    every_class,
    is_stateful,
    is_stateless,
)


def _compilers():
    if keras.config.backend() == "jax":
        import jax

        return {"jit": jax.jit}
    if keras.config.backend() == "tensorflow":
        import tensorflow as tf

        return {
            "graph": lambda function: tf.function(function),
            "xla": lambda function: tf.function(function, jit_compile=True),
        }
    import torch

    return {"vmap": _over_a_stack(torch.vmap)}


def _over_a_stack(vmap):
    def mapped(function):
        def first_of_stack(*arguments):
            stacks = [ops.stack([argument, 2 * argument]) for argument in arguments]
            return tuple(output[0] for output in vmap(function)(*stacks))

        return first_of_stack

    return mapped


def _update(first, second):
    gradients = [[first[0], first[1]], [second, None]]
    gram = h.gradient_gram(gradients)
    weights, _ = h.Realignment()(gram)
    return gram, h.combine_gradients(gradients, weights)[0]


@functools.cache
def _program(compiler, harmonizer):
    """The harmonizer, compiled for three losses and any number of matrices."""
    program = _compilers()[compiler](harmonizer.__call__)
    if keras.config.backend() != "tensorflow":
        return program
    import tensorflow as tf

    return program.get_concrete_function(
        tf.TensorSpec((None, 3, 3), "float32"), tf.TensorSpec((), "int32")
    )


compiled = pytest.mark.parametrize("compiler", list(_compilers()))


@compiled
@every_class(is_stateless)
def test_compiled_weights_are_the_eager_ones(harmonizer, compiler):
    program = _program(compiler, harmonizer)
    grams = [gram_of(sample_gradients(kind, 3)) for kind in ("agreeing", "conflicting")]
    grams = np.stack([*grams, np.full((3, 3), np.nan, "f4")])
    expected = [ops.convert_to_numpy(harmonizer(gram, 3)[0]) for gram in grams]
    expected_apply = [bool(harmonizer(gram, 3)[1]) for gram in grams]
    for first in (0, 1):
        step = ops.convert_to_tensor(3, "int32")
        weights, apply = program(ops.convert_to_tensor(grams[first:]), step)
        np.testing.assert_allclose(
            ops.convert_to_numpy(weights), expected[first:], rtol=1e-4, atol=1e-6
        )
        np.testing.assert_array_equal(
            ops.convert_to_numpy(apply), expected_apply[first:]
        )


@compiled
@every_class(is_stateful)
def test_compiled_states_are_the_eager_ones(harmonizer, compiler):
    grams = [gram_of(sample_gradients("conflicting", 3, seed)) for seed in range(3)]
    names = list(harmonizer.initial_state(3))

    def flat(gram, step, *state):
        state = dict(zip(names, state, strict=True))
        weights, apply, state = harmonizer(gram, step, state)
        return weights, apply, *[state[name] for name in names]

    program, state = _compilers()[compiler](flat), None
    for step, gram in enumerate(grams):
        given = harmonizer.initial_state(3) if state is None else state
        given = [ops.convert_to_tensor(given[name], "float32") for name in names]
        gram, counted = (
            ops.convert_to_tensor(gram),
            ops.convert_to_tensor(step, "int32"),
        )
        outputs = program(gram, counted, *given)
        weights, apply, state = harmonizer(gram, step, state)
        expected = [weights, apply, *[state[name] for name in names]]
        for output, wanted in zip(outputs, expected, strict=True):
            np.testing.assert_allclose(
                ops.convert_to_numpy(output),
                ops.convert_to_numpy(wanted),
                rtol=1e-4,
                atol=1e-5,
            )


@compiled
def test_the_gram_matrix_and_the_update_compile_too(compiler):
    first = ops.array([[1.0, -3.0], [2.0, 5.0]])
    second = ops.array([1.0, 2.0])
    gram, update = _compilers()[compiler](_update)(first, second)
    np.testing.assert_array_equal(ops.convert_to_numpy(gram), [[39, -5], [-5, 5]])
    expected = (1 + 5 / 39) * np.array([1.0, -3.0]) + 2 * np.array([1.0, 2.0])
    np.testing.assert_allclose(ops.convert_to_numpy(update), expected, rtol=1e-5)


@compiled
def test_one_program_reads_a_threshold_at_every_step(compiler):
    curriculum = h.Curriculum(h.LinearThreshold(-1.0, 1.0, steps=100))
    program = _program(compiler, curriculum)
    gram = ops.eye(3)[None]
    applied = [
        bool(program(gram, ops.convert_to_tensor(step, "int32"))[1])
        for step in (0, 49, 51, 200)
    ]
    assert applied == [True, True, False, False]


def test_harmonizers_run_inside_a_loop_over_steps():
    gram = ops.convert_to_tensor(gram_of(sample_gradients("conflicting", 3)))

    harmonizers = [
        promise.harmonizer
        for promise in OF_EACH_CLASS.values()
        if is_stateless(promise)
    ]

    def body(total, step):
        for harmonizer in harmonizers:
            weights, _ = harmonizer(gram, step)
            total = total + weights
        return total, total

    looped, _ = ops.scan(body, ops.zeros(3), ops.arange(2))
    expected = sum(
        harmonizer(gram, step)[0] for harmonizer in harmonizers for step in (0, 1)
    )
    np.testing.assert_allclose(
        ops.convert_to_numpy(looped), ops.convert_to_numpy(expected), rtol=1e-4
    )


@pytest.mark.skipif(
    keras.config.backend() != "tensorflow",
    reason="Only TensorFlow traces sizes that it does not know.",
)
def test_a_sum_over_the_batch_is_refused_whatever_its_size_will_be():
    import tensorflow as tf

    class ForOneMatrix(h.Harmonizer):
        def harmonize(self, gram, step):
            return ops.sum(gram, axis=0), True

    program = tf.function(ForOneMatrix().__call__)
    program.get_concrete_function(tf.TensorSpec((3, 3), "float32"))
    with pytest.raises(ValueError, match=r"`weights` of shape \(None, 3\)"):
        program.get_concrete_function(tf.TensorSpec((None, 3, 3), "float32"))
