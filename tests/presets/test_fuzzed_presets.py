"""The cases of the fuzzer of presets, and a few of its random changes, in one process.

`benchmarks/fuzz_presets.py` runs more of them, each under limits of memory and time.
"""

import importlib.util
import pathlib
import shutil
import sys

import keras
import numpy as np
import pytest

import keras_vatt
from keras_vatt.storage import PresetError
from keras_vatt.storage._deferred_weights import deferred_weights

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pipes of Unix")


def _load_cases():
    root = pathlib.Path(__file__).parents[2]
    path = root / "benchmarks" / "hostile_presets.py"
    spec = importlib.util.spec_from_file_location("hostile_presets", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


hostile = _load_cases()
_OPENED = []


def _record(event, arguments):
    if event == "open" and isinstance(arguments[0], str | bytes | pathlib.Path):
        _OPENED.append(str(arguments[0]))


@pytest.fixture(scope="module")
def valid(tmp_path_factory):
    sys.addaudithook(_record)
    folder = tmp_path_factory.mktemp("valid") / "preset"
    return folder, hostile.numbers_of(hostile.write_valid_preset(folder))


@pytest.fixture
def preset(valid, tmp_path, monkeypatch):
    shutil.copytree(valid[0], tmp_path / "preset")
    hostile.write_outside(tmp_path / "outside")
    monkeypatch.chdir(tmp_path / "outside")
    yield tmp_path / "preset"
    _OPENED.clear()


def outcome(folder, load_weights):
    """Loads a preset, uses and saves it; returns the outcome."""
    try:
        model = keras_vatt.VATT.from_preset(folder, load_weights=load_weights)
        numbers = hostile.numbers_of(model)
        model.save_to_preset(folder.parent / "saved")
    except Exception as error:
        return hostile.kind_of_error(error), str(error)
    return "loaded", numbers


@pytest.mark.parametrize("name", hostile.CASES)
def test_a_hostile_preset_is_refused_and_reaches_nothing_outside(name, preset):
    case = hostile.CASES[name]
    case.change(preset, preset.parent / "outside", np.random.default_rng(0))
    _OPENED.clear()
    kind, detail = outcome(preset, case.load_weights)
    assert kind == "refused", detail
    assert 20 < len(detail) < 10_000
    outside = str(preset.parent / "outside")
    forbidden = (outside, "../outside", "/dev/zero", "/etc/passwd", "words.txt")
    assert not [path for path in _OPENED if path.startswith(forbidden)]


@pytest.mark.parametrize("seed", range(25))
def test_a_damaged_preset_is_refused_or_loads_what_its_files_say(seed, preset, valid):
    change = hostile.random_change(preset, np.random.default_rng((7, seed)))
    kind, detail = outcome(preset, load_weights=True)
    assert kind in ("refused", "loaded"), (change, detail)
    if kind == "loaded":
        assert np.isfinite(detail["embedding"]).all(), change
        if "safetensors changed" in change or "vocabulary" in change:
            for name, expected in valid[1].items():
                np.testing.assert_array_equal(detail[name], expected, change)


def test_what_loads_without_weights_is_bounded(preset):
    widest = hostile.setting(
        "task.json", "config.bridge_head.config.video_audio_dim", 2**16
    )
    widest.change(preset, None, None)
    with pytest.raises(PresetError, match="fit into memory"):
        keras_vatt.VATT.from_preset(preset, load_weights=False)


def test_after_an_error_no_variable_takes_memory():
    made = []

    def initializer(shape, dtype=None):
        made.append(shape)
        return keras.ops.zeros(shape, dtype)

    def fail():
        keras.layers.Dense(3, kernel_initializer=initializer).build((None, 2))
        raise RuntimeError

    with pytest.raises(RuntimeError), deferred_weights():
        fail()
    with deferred_weights():
        pass
    assert not made


def test_more_plots_than_can_be_read_are_not_saved(valid, tmp_path):
    model = keras_vatt.VATT.from_preset(valid[0])
    plots = {f"{number}.png": b"\x89PNG" for number in range(600)}
    model.provenance = keras_vatt.Provenance(plots=plots)
    with pytest.raises(PresetError, match="100 plots"):
        model.save_to_preset(tmp_path / "saved")
    assert not (tmp_path / "saved").exists()


def test_random_weights_are_those_of_the_seed(valid):
    keras.utils.set_random_seed(3)
    loaded = keras_vatt.VATT.from_preset(valid[0], load_weights=False)
    keras.utils.set_random_seed(3)
    backbone = keras_vatt.VATTAgnosticBackbone.from_config(loaded.backbone.get_config())
    for actual, expected in zip(
        loaded.backbone.get_weights(), backbone.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(actual, expected)


def test_a_preset_without_weights_can_be_made_in_a_scope_of_the_caller_s(valid):
    with deferred_weights() as pending:
        model = keras_vatt.VATT.from_preset(valid[0], load_weights=False)
        pending.append((model.weights[0], _Ones(model.weights[0].shape)))
    assert (np.asarray(model.get_weights()[0]) == 1).all()
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


class _Ones:
    def __init__(self, shape):
        self.shape = shape

    def read(self):
        return np.ones(self.shape, np.float32)
