"""Tests of plans, with a fake program, on CPU devices and for a real TPU."""

import dataclasses
import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import types

import keras
import pytest

if keras.config.backend() != "jax":
    pytest.skip("plans need the JAX backend", allow_module_level=True)

import jax

from keras_vatt.models._layouts import make_distribution
from keras_vatt.planning import PlanningError, parse_topology
from keras_vatt.planning._plan import (
    GIB,
    Assumptions,
    Planner,
    read_compiled,
    wanted_bytes,
)
from keras_vatt.planning._report import render, render_search
from keras_vatt.planning._step import (
    StepSettings,
    make_model,
    state_variables,
)

HLO = """HloModule jit_train_step, replica_count=1, num_partitions=256

ENTRY %main (p: f32[256]) -> f32[1048576] {
  %p = f32[1048576]{0} parameter(0)
  ROOT %ar = f32[1048576]{0} all-reduce(%p), replica_groups={}, to_apply=%add
}
"""
SETTINGS = StepSettings("vatt_tiny_agnostic", 2048)


class Compiled:
    """A fake `jax.stages.Compiled` with the methods that a plan calls."""

    def memory_analysis(self):
        return types.SimpleNamespace(
            argument_size_in_bytes=2 * GIB,
            output_size_in_bytes=3 * GIB,
            alias_size_in_bytes=2 * GIB,
            temp_size_in_bytes=4 * GIB,
            generated_code_size_in_bytes=GIB // 4,
            peak_memory_in_bytes=6 * GIB,
        )

    def cost_analysis(self):
        return {"flops": 4e12, "bytes accessed": 1e11, "optimal_seconds": -3.0}

    def as_text(self):
        return HLO


def facts(**changes):
    return {
        "settings": SETTINGS,
        "topology": parse_topology("v5e:16x16"),
        "mesh": {"batch": 256},
        "parameters": 1_000_000,
        "trained_parameters": 900_000,
        "lower_seconds": 1.0,
        "compile_seconds": 100.0,
        "analytic_flops": 256 * 3.9e12,
        "plain_flops": 256 * 3e12,
        "assumptions": Assumptions(),
        "versions": {"jax": "0.10.2"},
    } | changes


def test_a_plan_reads_what_was_compiled():
    plan = read_compiled(Compiled(), facts())
    assert plan.fits
    assert plan.memory.total == 7 * GIB + GIB // 4
    assert plan.flops == 4e12
    sent = 2 * 255 / 256 * 4 * 2**20
    assert plan.collectives["all-reduce"]["sent_bytes"] == sent
    seconds = 4e12 / (0.4 * 197e12) + sent / (0.7 * 200e9)
    # The step is bound by memory, not by compute.
    assert 1e11 / (0.7 * 819e9) > 4e12 / (0.4 * 197e12)
    seconds = 1e11 / (0.7 * 819e9) + sent / (0.7 * 200e9)
    assert plan.roofline.seconds == pytest.approx(seconds)
    assert plan.dollars(1000) == pytest.approx(seconds * 1000 / 3600 * 256 * 1.2)


def test_a_loop_that_xla_counts_once_gives_way_to_the_count_from_sizes():
    plan = read_compiled(Compiled(), facts(analytic_flops=256 * 9e12))
    assert plan.device_flops == 9e12


def test_the_report_says_it_all():
    text = render(read_compiled(Compiled(), facts()))
    for part in (
        "vatt_tiny_agnostic on v5e:16x16: 256 chips",
        "batch 2048, 8 per copy of the model",
        "7.25 GiB",
        "fits: 46% of the 15.75 GiB",
        "4.000e+12 per device",
        "XLA counts 1.03 times as many",
        "all-reduce",
        "bound by memory",
        "500,000 steps",
        "$1.2 per chip-hour",
        "assumed on-demand list price",
    ):
        assert part in text, part
    assert "optimal_seconds" not in text


def test_a_plan_is_json():
    plan = read_compiled(Compiled(), facts(assumptions=Assumptions(price=3.0)))
    content = json.loads(json.dumps(plan.to_dict()))
    assert content["topology"] == "v5e:16x16"
    assert content["assumptions"]["price"] == 3.0
    assert content["memory"]["total"] == 7 * GIB + GIB // 4
    assert content["settings"]["batch_size"] == 2048
    assert content["roofline"]["bound"] == "memory"


@pytest.mark.parametrize(
    ("message", "gib"),
    [
        (
            "RESOURCE_EXHAUSTED: E1000: CompileTimeHbmOom: Ran out of memory on HBM, "
            "the total memory required for HLO temporaries (381.60G) exceeds available "
            "HBM (15.75G). HLO module: jit_train_step.",
            381.6,
        ),
        ("RESOURCE_EXHAUSTED: Used 17.25G of 15.75G hbm. Exceeded by 1.50G.", 17.25),
        ("RESOURCE_EXHAUSTED: of some other form", None),
    ],
)
def test_a_refusal_says_how_much_was_wanted(message, gib):
    wanted = wanted_bytes(message)
    assert wanted == (None if gib is None else int(gib * GIB))


class Lowered:
    """A fake `jax.stages.Lowered` of a step that fits up to a batch size."""

    def __init__(self, batch_size, limit):
        self.batch_size, self.limit = batch_size, limit

    def compile(self):
        if self.batch_size > self.limit:
            raise jax.errors.JaxRuntimeError(
                "RESOURCE_EXHAUSTED: CompileTimeHbmOom: the total memory required for "
                "HLO temporaries (99.00G) exceeds available HBM (15.75G)."
            )
        compiled = Compiled()
        stats = compiled.memory_analysis()
        stats.peak_memory_in_bytes = 0
        stats.temp_size_in_bytes = GIB * self.batch_size // 32
        compiled.memory_analysis = lambda: stats
        return compiled


class Device:
    """A fake device, which only has a platform."""

    platform = "tpu"


@pytest.fixture
def planner(monkeypatch):
    monkeypatch.setattr(
        "keras_vatt.planning._plan.lower_step",
        lambda model, settings, distribution: Lowered(settings.batch_size, limit=390),
    )
    said = []
    topology = parse_topology("v5e:2x2")
    devices = [Device() for _ in range(4)]
    planner = Planner(SETTINGS, topology, devices=devices, say=said.append)
    planner.said = said
    return planner


def test_what_does_not_fit_is_a_result(planner):
    plan = planner.plan(512)
    assert not plan.fits
    assert plan.wanted_bytes == 99 * GIB
    text = render(plan)
    assert "DOES NOT FIT into the 15.75 GiB" in text
    assert ", needs 99.00 GiB" in text
    assert "time per step" not in text
    json.dumps(plan.to_dict())
    assert planner.said[-1] == "batch 512: does not fit"


def test_a_search_reports_the_largest_that_fits(planner):
    plan, tried = planner.search()
    assert plan.fits
    assert list(tried) == sorted(tried)
    assert tried[8] == 3 * GIB + GIB // 2
    assert plan.settings.batch_size == max(b for b, n in tried.items() if n is not None)
    assert 350 < plan.settings.batch_size <= 390
    assert "does not fit" in render_search(tried)


def test_a_batch_that_the_devices_can_not_share_is_refused(planner):
    with pytest.raises(PlanningError, match="--batch-size 10 is not a multiple of 4"):
        planner.plan(10)


def test_groups_and_micro_batches_have_to_divide_the_batch(planner):
    planner.settings = dataclasses.replace(SETTINGS, num_groups=12)
    assert planner.unit == 12
    planner.settings = dataclasses.replace(SETTINGS, num_micro_batches=6)
    assert planner.unit == 24


def test_groups_that_the_devices_can_not_share_are_refused():
    settings = dataclasses.replace(SETTINGS, num_groups=3)
    devices = [Device() for _ in range(4)]
    with pytest.raises(PlanningError, match="num_groups=3 with 4 replicas"):
        Planner(settings, parse_topology("v5e:2x2"), devices=devices)


def test_the_model_has_no_values():
    model = make_model(SETTINGS, make_distribution(jax.devices()[:1]))
    for group in state_variables(model)[:2]:
        assert all(variable._value is None for variable in group)
    assert len(model.optimizer.variables) > 2 * len(model.trainable_variables)


def test_a_plan_of_the_true_step_on_the_devices_of_this_machine():
    """Compares XLA's FLOPs with the analytic count on a CPU device."""
    settings = StepSettings(
        "vatt_tiny_agnostic", 2, dtype="float32", trainable_word_embedding=False
    )
    topology = parse_topology("v5e:1x1")
    plan = Planner(settings, topology, devices=jax.devices()[:1]).plan(2)
    assert plan.fits
    assert plan.collectives == {}
    assert plan.trained_parameters < plan.parameters
    # The optimizer takes a noticeable part of the FLOPs of such a small model.
    assert 1 <= plan.flops / plan.analytic_flops < 1.15
    assert plan.plain_flops < plan.analytic_flops
    # All weights, and two Adam slots for each trained one.
    state = 4 * (plan.parameters + 2 * plan.trained_parameters)
    assert plan.memory.arguments == pytest.approx(state, rel=0.3)


@pytest.mark.skipif(
    not os.environ.get("KERAS_VATT_TEST_TPU_COMPILER")
    or importlib.util.find_spec("libtpu") is None,
    reason="takes minutes: set KERAS_VATT_TEST_TPU_COMPILER=1 and install libtpu",
)
def test_a_plan_for_a_real_topology(tmp_path):
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("JAX_PLATFORMS", "XLA_FLAGS")
    }
    finished = subprocess.run(
        [pathlib.Path(sys.executable).parent / "keras-vatt", "plan"]
        + ["--preset", "vatt_tiny_agnostic", "--topology", "v5e:2x2"]
        + ["--batch-size", "8", "--num-layers", "1"]
        + ["--json", tmp_path / "plan.json"],
        env=environment | {"KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
        timeout=1800,
    )
    assert finished.returncode == 0, finished.stderr
    content = json.loads((tmp_path / "plan.json").read_text())
    assert content["fits"]
    assert content["collectives"]["all-reduce"]["group_sizes"] == [4]
    assert 0.9 < content["flops"] * 4 / content["analytic_flops"] < 1.3
