"""Attention on JAX: a loop over heads on a CPU, with the results of Keras."""

import types

import keras
import numpy as np
import pytest

if keras.config.backend() != "jax":
    pytest.skip("the loop is for JAX", allow_module_level=True)

import jax
import jax.numpy as jnp

from keras_vatt.layers._jax_attention import dot_product_attention

LONG, SHORT = 64, 63


def query_key_value(length=LONG, dtype="float32", batch_size=2):
    random = np.random.default_rng(0)
    shape = (batch_size, length, 3, 4)
    return [jnp.asarray(random.normal(size=shape), dtype) for _ in range(3)]


def has_loop(function, *inputs):
    return "scan" in str(jax.make_jaxpr(function)(*inputs))


def attention(query, key, value):
    return dot_product_attention(query, key, value, scale=0.4)


def outputs_and_vjps(function, inputs):
    """Returns the outputs, and the VJP of one cotangent and of two stacked ones."""
    shape = (2, *inputs[0].shape)
    cotangents = jnp.asarray(np.random.default_rng(1).normal(size=shape), "float32")

    @jax.jit
    def run(inputs, cotangents):
        outputs, vjp = jax.vjp(function, *inputs)
        return outputs, vjp(cotangents[0]), jax.vmap(vjp)(cotangents)

    return run(inputs, cotangents)


def of_keras(query, key, value):
    return keras.ops.dot_product_attention(query, key, value, scale=0.4)


def assert_close(actual, expected):
    for own, other in zip(*map(jax.tree.leaves, (actual, expected)), strict=True):
        assert jnp.linalg.norm(own - other) < 1e-6 * jnp.linalg.norm(other)


@pytest.mark.parametrize("keep", [slice(None), slice(0, 60)], ids=["all", "first"])
def test_outputs_and_gradients_are_those_of_keras(keep):
    query, key, value = query_key_value(70)
    inputs = [query[:, keep], key, value]
    assert has_loop(attention, *inputs)
    assert_close(
        outputs_and_vjps(attention, inputs), outputs_and_vjps(of_keras, inputs)
    )


def test_logits_that_differ_by_hundreds_stay_finite():
    query, key, value = query_key_value()
    inputs = [300 * query, key, value]
    results = outputs_and_vjps(attention, inputs)
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(results))
    # Logits of this size are themselves rounded to 1e-5.
    np.testing.assert_allclose(results[0], of_keras(*inputs), atol=1e-3)


@pytest.mark.parametrize(
    "arguments",
    [{"length": SHORT}, {"dtype": "bfloat16"}, {"dtype": "float16"}],
    ids=["short", "bfloat16", "float16"],
)
def test_other_inputs_take_the_attention_of_keras(arguments):
    inputs = query_key_value(**arguments)
    assert not has_loop(attention, *inputs)
    np.testing.assert_array_equal(attention(*inputs), of_keras(*inputs))


@pytest.mark.parametrize("name", ["mask", "bias"])
def test_masks_and_biases_take_the_attention_of_keras(name):
    given = {name: jnp.ones((1, 1, 1, LONG), "bool" if name == "mask" else "float32")}
    assert not has_loop(
        lambda *x: dot_product_attention(*x, **given), *query_key_value()
    )


def test_unknown_batch_size_takes_the_attention_of_keras():
    (batch,) = jax.export.symbolic_shape("batch")
    spec = jax.ShapeDtypeStruct((batch, LONG, 3, 4), "float32")
    exported = jax.export.export(jax.jit(attention))(spec, spec, spec)
    inputs = query_key_value(batch_size=5)
    assert_close(exported.call(*inputs), of_keras(*inputs))


def distribute(monkeypatch, num_devices=1, platform="cpu"):
    """Sets a distribution; returns its mesh. Devices of other platforms are fakes."""
    devices = np.array(jax.devices()[:num_devices])
    mesh = jax.sharding.Mesh(devices, ("batch",))
    if platform != "cpu":
        fakes = np.array([types.SimpleNamespace(platform=platform)] * num_devices)
        mesh = types.SimpleNamespace(devices=fakes)
    device_mesh = types.SimpleNamespace(backend_mesh=mesh, devices=mesh.devices)
    distribution = types.SimpleNamespace(device_mesh=device_mesh)
    monkeypatch.setattr(keras.distribution, "distribution", lambda: distribution)
    return mesh


def test_plan_for_another_platform_keeps_the_attention_of_keras(monkeypatch):
    distribute(monkeypatch, platform="tpu")
    assert not has_loop(attention, *query_key_value())


def test_default_device_decides_without_a_distribution():
    inputs = query_key_value()
    with jax.default_device("gpu"):
        assert not has_loop(attention, *inputs)


def test_loop_runs_on_each_device_but_is_not_sharded_over_devices(monkeypatch):
    mesh = distribute(monkeypatch, num_devices=2)
    inputs = query_key_value()
    rows = jax.P("batch")
    on_each = jax.shard_map(
        attention, mesh=mesh, in_specs=(rows,) * 3, out_specs=rows, check_vma=False
    )
    assert not has_loop(attention, *inputs)
    assert has_loop(on_each, *inputs)
    assert_close(outputs_and_vjps(on_each, inputs), outputs_and_vjps(of_keras, inputs))
