"""`keras-vatt plan` refuses wrong arguments, and prints and saves its results."""

import importlib.util
import json

import keras
import pytest

from keras_vatt.cli.main import main

IS_JAX = keras.config.backend() == "jax"
PLAN = ["plan", "--preset", "vatt_tiny_agnostic", "--topology", "v5e:2x2"]


class Device:
    """A device that can only be counted."""

    platform = "tpu"


@pytest.fixture
def with_libtpu(monkeypatch):
    """Makes tests independent of an installed libtpu."""
    found = importlib.util.find_spec

    def find_spec(name, *arguments):
        return found("json") if name == "libtpu" else found(name, *arguments)

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)


def refusal(capsys, *arguments):
    """Runs a command that fails with exit code 2, and returns its error message."""
    code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    assert code == 2
    assert captured.out == ""
    (line,) = [x for x in captured.err.splitlines() if not x.startswith("[")]
    return line


def test_an_unknown_topology_is_refused_with_those_known(capsys):
    line = refusal(capsys, "plan", "--topology", "v9:2x2", "--batch-size", 8)
    assert "unknown topology 'v9:2x2'" in line
    assert "v5e:NxM" in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give one of --batch-size and --search"),
        (["--batch-size", "8", "--search"], "give one of --batch-size and --search"),
        (["--batch-size", "8", "--num-groups", "0"], "--num-groups must be at least 1"),
        (["--search", "--flops-utilization", "40"], "--flops-utilization must be"),
    ],
)
def test_arguments_that_mean_nothing_are_refused(capsys, arguments, message):
    assert message in refusal(capsys, *PLAN, *arguments)


@pytest.mark.skipif(IS_JAX, reason="plans work on this backend")
def test_other_backends_are_refused(capsys):
    line = refusal(capsys, *PLAN, "--batch-size", 8)
    assert "KERAS_BACKEND=jax" in line
    assert keras.config.backend() in line


@pytest.mark.skipif(not IS_JAX, reason="plans need the JAX backend")
class TestOnJax:
    def test_without_libtpu_it_says_what_to_install(self, capsys, monkeypatch):
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
        line = refusal(capsys, *PLAN, "--batch-size", 8)
        assert 'pip install "keras-vatt[plan]"' in line
        assert "Google Cloud Platform Terms of Service" in line

    @pytest.fixture
    def devices(self, monkeypatch, with_libtpu):
        """Replaces TPU devices by objects that can only be counted."""
        monkeypatch.setattr(
            "keras_vatt.planning._plan._tpu_devices",
            lambda topology: [Device() for _ in range(topology.num_devices)],
        )

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--batch-size", "6"], "--batch-size 6 is not a multiple of 4"),
            (
                ["--batch-size", "8", "--model-parallel", "3"],
                "--model-parallel 3 does not divide the 4 devices",
            ),
            (["--batch-size", "8", "--harmonizer", "realgn"], "realgn"),
            (["--batch-size", "8", "--preset", "vatt_huge"], "no preset"),
        ],
    )
    def test_what_does_not_fit_together(self, capsys, devices, arguments, message):
        assert message in refusal(capsys, *PLAN, *arguments)

    def test_plan_and_search_are_printed_and_saved(
        self, capsys, devices, monkeypatch, tmp_path
    ):
        from tests.planning.test_plan import Lowered

        monkeypatch.setattr(
            "keras_vatt.planning._plan.lower_step",
            lambda model, settings, distribution: Lowered(
                settings.batch_size, limit=390
            ),
        )
        path = tmp_path / "plan.json"
        assert main([*PLAN, "--search", "--price", "2", "--json", str(path)]) == 0
        captured = capsys.readouterr()
        assert "vatt_tiny_agnostic on v5e:2x2: 4 chips" in captured.out
        assert "$2 per chip-hour" in captured.out
        assert "batch sizes tried" in captured.out
        assert "[  0:" in captured.err
        content = json.loads(path.read_text())
        assert content["fits"]
        assert content["search"]["8"] > 0
        assert content["settings"]["batch_size"] > 350
