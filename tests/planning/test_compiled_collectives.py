"""Tests of reading collectives, on programs compiled for 8 virtual devices."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

pytestmark = pytest.mark.once

FOLDER = pathlib.Path(__file__).parent
NAMES = ("all-reduce", "reduce-scatter", "all-gather", "all-to-all")
NAMES += ("collective-permute", "loop", "gradient")


@pytest.fixture(scope="module")
def programs():
    environment = os.environ | {
        "KERAS_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": "--xla_force_host_platform_device_count=8",
    }
    finished = subprocess.run(
        [sys.executable, FOLDER / "virtual_devices.py"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", NAMES)
def test_count_and_bytes_are_those_of_the_program(programs, name):
    program = programs[name]
    kind = {"loop": "all-reduce", "gradient": "all-reduce"}.get(name, name)
    assert list(program["read"]) == [kind]
    found = program["read"][kind]
    assert found["count"] == program["count"]
    assert found["sent_bytes"] == pytest.approx(program["sent"])
    assert found["dtypes"] == ["f32"]


def test_every_program_is_checked(programs):
    assert set(programs) == set(NAMES)
