"""Compiled programs give what eager calls give."""

import functools

import keras
import numpy as np
import pytest
from keras import ops

from keras_vatt import harmonization as h
from tests.harmonization._inputs import gram_of, sample_gradients
from tests.harmonization._properties import HARMONIZERS


def _compilers():
    if keras.config.backend() == "jax":
        import jax

        return {"jit": jax.jit, "vmap": _over_a_stack(jax.vmap)}
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
    return _compilers()[compiler](harmonizer.__call__)


every_class = pytest.mark.parametrize(
    "harmonizer", HARMONIZERS.values(), ids=HARMONIZERS.keys()
)
compiled = pytest.mark.parametrize("compiler", list(_compilers()))


def _tensors(kind, step):
    gram = gram_of(sample_gradients(kind, 3))
    return ops.convert_to_tensor(gram), ops.convert_to_tensor(step, "int32")


@compiled
@every_class
def test_compiled_weights_are_the_eager_ones(harmonizer, compiler):
    program = _program(compiler, harmonizer)
    for kind in ("agreeing", "conflicting"):
        gram, step = _tensors(kind, 3)
        weights, apply = program(gram, step)
        expected, expected_apply = harmonizer(gram, 3)
        np.testing.assert_allclose(
            ops.convert_to_numpy(weights),
            ops.convert_to_numpy(expected),
            rtol=1e-4,
            atol=1e-6,
        )
        assert bool(apply) == bool(expected_apply)


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
    gram = ops.eye(3)
    applied = [
        bool(program(gram, ops.convert_to_tensor(step, "int32"))[1])
        for step in (0, 49, 51, 200)
    ]
    assert applied == [True, True, False, False]


@compiled
@every_class
def test_a_compiled_program_skips_a_step_that_is_not_finite(harmonizer, compiler):
    program = _program(compiler, harmonizer)
    gram, step = _tensors("conflicting", 0)
    weights, apply = program(gram * float("nan"), step)
    assert not bool(apply)
    np.testing.assert_array_equal(ops.convert_to_numpy(weights), np.ones(3))


def test_harmonizers_run_inside_a_loop_over_steps():
    gram, _ = _tensors("conflicting", 0)

    def body(total, step):
        for harmonizer in HARMONIZERS.values():
            weights, _ = harmonizer(gram, step)
            total = total + weights
        return total, total

    looped, _ = ops.scan(body, ops.zeros(3), ops.arange(2))
    expected = sum(2 * harmonizer(gram, 0)[0] for harmonizer in HARMONIZERS.values())
    np.testing.assert_allclose(
        ops.convert_to_numpy(looped), ops.convert_to_numpy(expected), rtol=1e-4
    )
