"""Tests of the collectives in plans of the train step, on 4 virtual devices."""

import json
import os
import pathlib
import subprocess
import sys

import keras
import pytest

if keras.config.backend() != "jax":
    pytest.skip("plans need the JAX backend", allow_module_level=True)

SCRIPT = pathlib.Path(__file__).parent / "virtual_step.py"


@pytest.fixture(scope="module")
def plans():
    quick = (
        "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
    )
    environment = os.environ | {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"--xla_force_host_platform_device_count=4 {quick}",
    }
    finished = subprocess.run(
        [sys.executable, SCRIPT],
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout.splitlines()[-1])


def sent(plan):
    return sum(kind["sent_bytes"] for kind in plan["collectives"].values())


def test_harmonizing_two_gradients_sends_up_to_three_times_the_weights(plans):
    """Expects two reduce-scatters and one all-gather of all float32 weights.

    Weights that only one loss depends on (the words, the audio stem) need less.
    """
    plan = plans["harmonized"]
    weights = 4 * plan["trained_parameters"]
    collectives = plan["collectives"]
    assert 2.5 < sent(plan) / (3 / 4 * weights) < 3.1
    assert collectives["reduce-scatter"]["sent_bytes"] > 1.5 * 3 / 4 * weights
    gathered = collectives["all-gather"]["sent_bytes"] / (3 / 4 * weights)
    assert gathered == pytest.approx(1, abs=0.05)
    assert plan["mesh"] == {"batch": 4}
    assert plan["unknown_loops"] == 0


def test_the_plain_step_sends_twice_the_weights(plans):
    plan = plans["plain"]
    weights = 4 * plan["trained_parameters"]
    assert 1 <= sent(plan) / (2 * 3 / 4 * weights) < 1.1
    assert "reduce-scatter" not in plan["collectives"]


def test_harmonizing_sends_at_most_half_as_much_again_as_the_plain_step(plans):
    assert sent(plans["harmonized"]) <= 1.5 * sent(plans["plain"])


@pytest.mark.parametrize("name", ["groups", "features"])
def test_groups_send_what_the_plain_step_sends(plans, name):
    assert sent(plans[name]) <= 1.02 * sent(plans["plain"])
    assert "reduce-scatter" not in plans[name]["collectives"]


def test_the_computation_is_shared_among_the_devices(plans):
    for name in ("harmonized", "plain", "features"):
        plan = plans[name]
        ratio = plan["flops"] * 4 / plan["analytic_flops"]
        # Every device runs the whole optimizer, a noticeable part of a small model.
        assert 0.9 <= ratio < 1.3, name


def test_cut_matrices_take_less_memory(plans):
    whole, cut = (plans[name]["memory"]["arguments"] for name in ("harmonized", "cut"))
    # Most weights are word vectors, which are not cut.
    assert 0.9 * whole < cut < 0.99 * whole
    assert plans["cut"]["mesh"] == {"batch": 2, "model": 2}
    assert plans["cut"]["collectives"]["all-reduce"]["group_sizes"] == [2]
