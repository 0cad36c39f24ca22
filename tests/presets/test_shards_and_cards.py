"""Large weights come in shards; a card says where weights come from."""

import json
import subprocess
import sys

import keras_hub
import numpy as np
import pytest
import safetensors

import keras_vatt
from keras_vatt.storage import PresetError
from tests.models.tiny import tiny_batch, tiny_vatt


@pytest.fixture
def model():
    return tiny_vatt()


def features(model):
    return np.asarray(model.encode(text=tiny_batch()["text"])["text"]["to_video"])


def test_shards_hold_every_tensor_once_and_load_again(model, tmp_path):
    model.save_to_preset(tmp_path / "mine", max_shard_size=10e-6)
    names = {path.name for path in (tmp_path / "mine").glob("*.safetensors")}
    assert len(names) > 2
    index = json.loads((tmp_path / "mine/model.safetensors.index.json").read_text())
    assert set(index["weight_map"].values()) == names
    sizes = 0
    for name in names:
        with safetensors.safe_open(tmp_path / "mine" / name, "numpy") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        assert all(index["weight_map"][key] == name for key in tensors)
        size = sum(tensor.nbytes for tensor in tensors.values())
        assert size <= 10_000 or len(tensors) == 1
        sizes += size
    assert sizes == index["metadata"]["total_size"] == model.count_params() * 4
    again = keras_vatt.VATT.from_preset(tmp_path / "mine")
    np.testing.assert_array_equal(features(again), features(model))


def test_a_missing_shard_is_named(model, tmp_path):
    model.save_to_preset(tmp_path / "mine", max_shard_size=10e-6)
    lost = sorted((tmp_path / "mine").glob("*.safetensors"))[1]
    lost.unlink()
    with pytest.raises(FileNotFoundError, match=lost.name):
        keras_vatt.VATT.from_preset(tmp_path / "mine")


@pytest.mark.parametrize("form", ["agnostic", "specific"])
@pytest.mark.parametrize(
    "settings", [{}, {"max_shard_size": 1e-4}, {"keras_hub_weights": True}]
)
def test_keras_hub_loads_the_backbone_of_a_preset(form, settings, tmp_path):
    model = tiny_vatt(form)
    model.save_to_preset(tmp_path / "mine", **settings)
    backbone = keras_hub.models.Backbone.from_preset(str(tmp_path / "mine"))
    assert type(backbone) is type(model.backbone)
    for actual, expected in zip(
        backbone.get_weights(), model.backbone.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(actual, expected)


def test_keras_hub_loads_no_damaged_weights(model, tmp_path):
    model.save_to_preset(tmp_path / "mine")
    weights = tmp_path / "mine" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(PresetError, match="damaged"):
        keras_hub.models.Backbone.from_preset(str(tmp_path / "mine"))


def test_weights_that_keras_cut_into_hdf5_files_are_still_its_own(model, tmp_path):
    model.backbone.save_weights(tmp_path / "model.weights.json", max_shard_size=1e-4)
    backbone = tiny_vatt("agnostic").backbone
    backbone.load_weights(tmp_path / "model.weights.json")
    for actual, expected in zip(
        backbone.get_weights(), model.backbone.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(actual, expected)


def test_provenance_is_in_the_card_and_comes_back(model, tmp_path):
    model.provenance = keras_vatt.Provenance(
        description="A model of birds.",
        license="cc-by-4.0",
        source="a garden",
        datasets=("birds",),
        training={"epochs": 3},
        evaluation={"text->video": {"recall_at_1": 0.5}},
        plots={"losses.png": b"\x89PNG"},
    )
    model.save_to_preset(tmp_path / "mine")
    card = (tmp_path / "mine" / "README.md").read_text()
    for text in ("cc-by-4.0", "A model of birds.", "a garden", "epochs: 3", "0.5"):
        assert text in card
    assert "(plots/losses.png)" in card
    again = keras_vatt.VATT.from_preset(tmp_path / "mine")
    assert again.provenance == model.provenance


def test_a_model_that_was_trained_on_does_not_claim_the_old_results(model, tmp_path):
    model.provenance = keras_vatt.Provenance(
        source="a garden", evaluation={"text->video": {"recall_at_1": 0.5}}
    )
    model.save_to_preset(tmp_path / "mine")
    again = keras_vatt.VATT.from_preset(tmp_path / "mine")
    again.set_weights([weight + 0.1 for weight in again.get_weights()])
    again.save_to_preset(tmp_path / "next")
    card = (tmp_path / "next" / "README.md").read_text()
    assert "trained further from a garden" in card
    assert "No evaluation was recorded" in card


_KILLED = """
import os, pathlib, sys
sys.path.insert(0, sys.argv[2])
from tests.models.tiny import tiny_vatt

model = tiny_vatt()
rename, calls = pathlib.Path.rename, []

def rename_or_die(self, target):
    calls.append(target)
    if len(calls) == int(sys.argv[3]):
        os._exit(9)
    return rename(self, target)

pathlib.Path.rename = rename_or_die
model.save_to_preset(sys.argv[1])
"""


@pytest.mark.parametrize("at_rename", [1, 2])
def test_a_kill_while_saving_leaves_the_old_preset(
    model, tmp_path, at_rename, pytestconfig
):
    model.save_to_preset(tmp_path / "mine")
    tests = str(pytestconfig.rootpath / "tests")
    command = [sys.executable, "-c", _KILLED, tmp_path / "mine", tests, str(at_rename)]
    assert subprocess.run(command, check=False, capture_output=True).returncode == 9
    again = keras_vatt.VATT.from_preset(tmp_path / "mine")
    np.testing.assert_array_equal(features(again), features(model))
    tiny_vatt("specific").save_to_preset(tmp_path / "mine")
    keras_vatt.VATT.from_preset(tmp_path / "mine")


def test_parts_come_from_a_preset_alone(tmp_path):
    model = keras_vatt.VATT.from_preset("vatt_tiny_agnostic", load_weights=False)
    model.preprocessor.tokenizer = keras_vatt.VATTTokenizer.from_captions(["a star"])
    model.save_to_preset(tmp_path / "mine")
    tokenizer = keras_vatt.VATTTokenizer.from_preset(tmp_path / "mine")
    assert tokenizer.vocabulary == model.preprocessor.tokenizer.vocabulary
    converter = keras_vatt.VATTAudioConverter.from_preset(tmp_path / "mine")
    assert (
        converter.clip_spec.sampling_rate == model.preprocessor.clip_spec.sampling_rate
    )
    model.backbone.save_to_preset(tmp_path / "backbone")
    with pytest.raises(PresetError, match="no VATTTokenizer"):
        keras_vatt.VATTTokenizer.from_preset(tmp_path / "backbone")
