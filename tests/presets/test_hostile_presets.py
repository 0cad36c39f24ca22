"""A preset from a stranger runs nothing, reads and writes nothing outside."""

import json
import os
import pickle
import struct
import sys

import keras
import numpy as np
import pytest
import safetensors.numpy

import keras_vatt
from keras_vatt.storage import PresetError, WeightsMismatchError
from tests.models.tiny import tiny_vatt

pytestmark = pytest.mark.once


class _Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.fixture
def preset(tmp_path):
    model = tiny_vatt()
    words = keras_vatt.VATTTokenizer.from_captions(["a red star"])
    preprocessor = keras_vatt.VATTPreprocessor(words)
    model = keras_vatt.VATT(model.backbone, model.bridge_head, preprocessor)
    model.save_to_preset(tmp_path / "preset")
    return tmp_path / "preset"


def change(file, function):
    """A mutation that changes the config in a JSON file of the preset."""

    def mutate(folder, outside):
        path = folder / file
        config = json.loads(path.read_text())
        function(config, outside)
        path.write_text(json.dumps(config))

    return mutate


def setting(file, name, value):
    return change(file, lambda config, _: config["config"].update({name: value}))


def head(entry):
    def replace(config, outside):
        made = entry(outside) if callable(entry) else entry
        config["config"]["bridge_head"] = made

    return change("task.json", replace)


def weights(function):
    """A mutation that changes the tensors."""

    def mutate(folder, _outside):
        path = folder / "model.safetensors"
        tensors = safetensors.numpy.load_file(path)
        function(tensors)
        safetensors.numpy.save_file(tensors, path)

    return mutate


def write(file, content):
    def mutate(folder, outside):
        made = content(outside) if callable(content) else content
        (folder / file).write_bytes(made)

    return mutate


def link(file):
    """A mutation that puts a link to a file outside in the place of one inside."""

    def mutate(folder, outside):
        target = outside / "secret"
        target.write_bytes((folder / file).read_bytes())
        (folder / file).unlink()
        (folder / file).symlink_to(target)

    return mutate


def sharded_outside(folder, outside):
    (folder / "model.safetensors").rename(outside / "model.safetensors")
    weight_map = {"backbone/x": "../outside/model.safetensors"}
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": weight_map}))


def huge_header(folder, _outside):
    header = json.dumps(
        {"x": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}
    ).encode()
    content = struct.pack("<Q", len(header)) + header
    (folder / "model.safetensors").write_bytes(content)


def lambda_layer(outside):
    layer = keras.layers.Lambda(lambda x: x)
    config = keras.saving.serialize_keras_object(layer)
    return json.loads(json.dumps(config)) | {"note": str(outside)}


def object_of(module, name, **config):
    return {
        "class_name": name,
        "module": module,
        "registered_name": None,
        "config": config,
    }


def deep(_outside):
    return b'{"config": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"


def fifo(folder, _outside):
    (folder / "task.json").unlink()
    os.mkfifo(folder / "task.json")


MODULE = "keras_vatt.models._vatt"
HOSTILE = {
    "a class of os": head(object_of("os", "system", command="touch ran")),
    "a function of builtins": head(object_of("builtins", "exec", source="open('ran')")),
    "a lambda layer": head(lambda_layer),
    "a download by Keras": head(object_of("keras.utils", "get_file", fname="ran")),
    "a Keras layer": head(object_of("keras.layers", "TFSMLayer", filepath="ran")),
    "an unknown registered name": head(
        object_of(MODULE, "VATT") | {"registered_name": "other>VATT"}
    ),
    "another class under our name": head(
        object_of("subprocess", "Popen", args="touch ran")
        | {"registered_name": "keras_vatt>FactorizedBridgeHead"}
    ),
    "the type of a nested tensor": head(
        {"class_name": "__tensor__", "config": {"value": [1], "dtype": "float32"}}
    ),
    "a class in the dtype": setting(
        "config.json", "dtype", object_of("os", "popen", command="touch ran")
    ),
    "another class in the place of the backbone": change(
        "config.json", lambda c, _: c.update(registered_name="keras_vatt>Realignment")
    ),
    "no registered name": change("config.json", lambda c, _: c.pop("registered_name")),
    "a config that is a list": write("config.json", b"[]"),
    "a config that is no JSON": write("config.json", b"\x80\x04."),
    "a pickle for a config": write(
        "task.json", lambda outside: pickle.dumps(_Bomb(outside / "ran"))
    ),
    "a config without end": write("task.json", deep),
    "a config of many megabytes": write("task.json", b" " * 5_000_000 + b"{}"),
    "a pipe for a config": fifo,
    "a width beyond all memory": setting("config.json", "hidden_dim", 2**30),
    "a width that is no number": setting("config.json", "hidden_dim", "wide"),
    "a negative width": setting("config.json", "hidden_dim", -8),
    "a million layers": setting("config.json", "num_layers", 10**6),
    "a number that is not finite": setting("config.json", "dropout", float("nan")),
    "a vocabulary beyond all memory": setting("config.json", "vocabulary_size", 2**30),
    "a head beyond all memory": change(
        "task.json",
        lambda c, _: c["config"]["bridge_head"]["config"].update(video_audio_dim=2**30),
    ),
    "an argument that nothing takes": setting("config.json", "command", "touch ran"),
    "a tokenizer of another class": change(
        "preprocessor.json",
        lambda c, _: c["config"].update(tokenizer=object_of("os", "system")),
    ),
    "a vocabulary that is no text": write(
        "assets/tokenizer/vocabulary.txt", b"\xff\xfe\x00"
    ),
    "a vocabulary that is a link outside": link("assets/tokenizer/vocabulary.txt"),
    "a config that is a link outside": link("task.json"),
    "weights that are a link outside": link("model.safetensors"),
    "shards outside": sharded_outside,
    "a pickle for weights": write(
        "model.safetensors", lambda outside: pickle.dumps(_Bomb(outside / "ran"))
    ),
    "weights that promise more than they hold": huge_header,
    "a tensor of another shape": weights(
        lambda t: t.update({sorted(t)[0]: np.zeros((9, 9), np.float32)})
    ),
    "a tensor too many": weights(lambda t: t.update(extra=np.zeros(1, np.float32))),
    "a tensor of whole numbers": weights(
        lambda t: t.update({sorted(t)[0]: t[sorted(t)[0]].astype(np.int32)})
    ),
    "weights changed behind the checksum": weights(
        lambda t: t.update({sorted(t)[0]: t[sorted(t)[0]] + 1})
    ),
}


def contents(folder):
    return {p: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.skipif(sys.platform == "win32", reason="links and pipes of Unix")
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_preset_is_refused(name, preset, tmp_path, monkeypatch):
    outside = tmp_path / "outside"
    outside.mkdir()
    monkeypatch.chdir(outside)
    HOSTILE[name](preset, outside)
    before = contents(outside)
    with pytest.raises((PresetError, WeightsMismatchError, ValueError)) as caught:
        keras_vatt.VATT.from_preset(preset)
    assert len(str(caught.value)) > 20
    assert contents(outside) == before


def test_what_a_config_would_have_built_is_left_out(preset):
    path = preset / "task.json"
    config = json.loads(path.read_text())
    bridge_head = config["config"]["bridge_head"]
    bridge_head["build_config"] = {"input_shape": {"video": [None, 2**40]}}
    path.write_text(json.dumps(config))
    model = keras_vatt.VATT.from_preset(preset)
    assert model.count_params() == tiny_vatt().count_params()


def test_sizes_are_checked_without_weights_too(preset):
    with pytest.raises(PresetError, match="memory"):
        keras_vatt.VATT.from_preset(
            preset, load_weights=False, vocabulary_size=2**31, word_embedding_dim=2**20
        )
