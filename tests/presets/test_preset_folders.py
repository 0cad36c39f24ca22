"""Presets are written atomically and loaded strictly, on every backend."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import safetensors.numpy

import keras_vatt
from keras_vatt.data import ClipSpec
from keras_vatt.storage import PresetError, WeightsMismatchError, named_variables
from tests.models.tiny import tiny_backbone, tiny_batch, tiny_vatt

BACKEND = keras.config.backend()
HEADS = (
    keras_vatt.layers.FactorizedBridgeHead,
    keras_vatt.layers.JointBridgeHead,
)
FORMS = pytest.mark.parametrize("form", ["agnostic", "specific"])


def model_with_words(form="agnostic"):
    model = tiny_vatt(form)
    words = keras_vatt.VATTTokenizer.from_captions(["a red star", "a circle"])
    spec = ClipSpec(num_frames=8, frame_size=32)
    preprocessor = keras_vatt.VATTPreprocessor.from_clip_spec(spec, words)
    return keras_vatt.VATT(model.backbone, model.bridge_head, preprocessor)


def as_array(variable):
    return keras.ops.convert_to_numpy(variable.value)


def embeddings_of(model):
    batch = tiny_batch()
    outputs = model.encode(**{m: batch[m] for m in ("video", "audio", "text")})
    return {
        f"{modality}.{name}": array
        for modality, arrays in outputs.items()
        for name, array in arrays.items()
    }


def assert_same_outputs(model, other):
    expected, actual = embeddings_of(model), embeddings_of(other)
    assert expected.keys() == actual.keys()
    for name in expected:
        np.testing.assert_array_equal(actual[name], expected[name], err_msg=name)


@FORMS
def test_a_saved_model_comes_back_bit_for_bit(form, tmp_path):
    model = model_with_words(form)
    model.save_to_preset(tmp_path / "mine")
    again = keras_vatt.VATT.from_preset(tmp_path / "mine")
    assert_same_outputs(model, again)
    assert again.backbone.get_config() == model.backbone.get_config()
    assert again.bridge_head.get_config() == model.bridge_head.get_config()
    assert again.preprocessor.tokenizer(["a star"]).tolist() == (
        model.preprocessor.tokenizer(["a star"]).tolist()
    )
    assert again.preprocessor.clip_spec == model.preprocessor.clip_spec


@FORMS
def test_a_backbone_comes_back_alone_and_out_of_a_task(form, tmp_path):
    model = model_with_words(form)
    model.save_to_preset(tmp_path / "task")
    model.backbone.save_to_preset(tmp_path / "backbone")
    expected = model.backbone(tiny_batch())["text"]["features"]
    for folder in ("task", "backbone"):
        backbone = type(model.backbone).from_preset(tmp_path / folder)
        actual = backbone(tiny_batch())["text"]["features"]
        np.testing.assert_array_equal(
            keras.ops.convert_to_numpy(actual), keras.ops.convert_to_numpy(expected)
        )


def test_a_classifier_starts_from_a_pretrained_backbone(tmp_path):
    model = model_with_words()
    model.save_to_preset(tmp_path / "task")
    classifier = keras_vatt.VATTVideoClassifier.from_preset(
        tmp_path / "task", num_classes=3
    )
    # Without the parts of the modalities that it doesn't take.
    assert classifier.backbone.modalities == ("video",)
    weights = named_variables(model.backbone)
    for name, variable in named_variables(classifier.backbone).items():
        np.testing.assert_array_equal(*map(as_array, (variable, weights[name])))
    classifier.save_to_preset(tmp_path / "classifier")
    again = keras_vatt.VATTVideoClassifier.from_preset(tmp_path / "classifier")
    video = tiny_batch()["video"]
    np.testing.assert_array_equal(again.predict(video), classifier.predict(video))


def test_a_classifier_without_number_of_classes_says_what_is_missing(tmp_path):
    model_with_words().save_to_preset(tmp_path / "task")
    with pytest.raises(PresetError, match="num_classes"):
        keras_vatt.VATTVideoClassifier.from_preset(tmp_path / "task")


_ENCODE = """
import sys, numpy as np, keras_vatt
model = keras_vatt.VATT.from_preset(sys.argv[1])
np.savez(sys.argv[2], *[w.numpy() if hasattr(w, "numpy") else np.asarray(w.value)
                        for w in model.weights])
"""


@pytest.mark.skipif(BACKEND != "jax", reason="one backend starts the other two")
@pytest.mark.parametrize("other", ["tensorflow", "torch"])
def test_a_preset_of_one_backend_has_the_same_weights_on_another(tmp_path, other):
    model = model_with_words()
    model.save_to_preset(tmp_path / "mine")
    arguments = [sys.executable, "-c", _ENCODE, tmp_path / "mine", tmp_path / "w.npz"]
    environment = os.environ | {"KERAS_BACKEND": other}
    subprocess.run(arguments, env=environment, check=True, capture_output=True)
    with np.load(tmp_path / "w.npz") as weights:
        for name, expected in zip(weights.files, model.get_weights(), strict=True):
            np.testing.assert_array_equal(weights[name], expected)


@pytest.mark.skipif(BACKEND != "torch", reason="of PyTorch's own interface")
def test_a_loaded_model_has_all_parameters_in_its_state_dict(tmp_path):
    model_with_words().save_to_preset(tmp_path / "mine")

    def parameters(load_weights):
        model = keras_vatt.VATT.from_preset(
            tmp_path / "mine", load_weights=load_weights
        )
        # Seeds are numbered through the process.
        return {name for name in model.state_dict() if "seed_generator" not in name}

    assert len(parameters(True)) > 100
    assert parameters(True) == parameters(False)


@pytest.mark.skipif(BACKEND != "torch", reason="of PyTorch's own warnings")
def test_loading_a_preset_gives_no_warning(tmp_path, recwarn):
    import torch

    tiny_vatt().save_to_preset(tmp_path / "mine")
    always = torch.is_warn_always_enabled()
    torch.set_warn_always(True)  # Else some come once a process.
    try:
        keras_vatt.VATT.from_preset(tmp_path / "mine")
    finally:
        torch.set_warn_always(always)
    shown = [w for w in recwarn if not issubclass(w.category, DeprecationWarning)]
    assert not [str(warning.message) for warning in shown]


@pytest.mark.skipif(BACKEND != "jax", reason="Keras distributes models on JAX")
def test_a_preset_loads_under_a_distribution(tmp_path):
    model = model_with_words()
    model.save_to_preset(tmp_path / "mine")
    keras.distribution.set_distribution(keras.distribution.DataParallel())
    try:
        again = keras_vatt.VATT.from_preset(tmp_path / "mine")
    finally:
        keras.distribution.set_distribution(None)
    for actual, expected in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(actual, expected)


def test_dtype_and_arguments_win_over_those_of_the_preset(tmp_path):
    model_with_words().save_to_preset(tmp_path / "mine")
    model = keras_vatt.VATT.from_preset(
        tmp_path / "mine", dtype="bfloat16", dropout=0.3
    )
    assert model.backbone.dropout == 0.3
    assert {weight.dtype for weight in model.backbone.trainable_variables} == {
        "bfloat16"
    }


@pytest.mark.parametrize("head", HEADS, ids=lambda head: head.__name__)
@pytest.mark.parametrize("other", ["audio", "text"])
def test_a_vatt_of_two_modalities_comes_out_of_one_of_three(head, other, tmp_path):
    model = tiny_vatt(bridge_head=head(8, name="bridge_head"))
    model.provenance = keras_vatt.Provenance(source="a garden")
    model.save_to_preset(tmp_path / "three")
    part = keras_vatt.VATT.from_preset(tmp_path / "three", modalities=("video", other))
    assert part.backbone.modalities == ("video", other)
    expected = named_variables(model)
    for name, variable in named_variables(part).items():
        np.testing.assert_array_equal(*map(as_array, (variable, expected[name])))
    source = f"the modalities (video, {other}) taken from a garden"
    assert part.provenance.source == source


@FORMS
def test_the_base_class_loads_a_backbone_of_either_kind(form, tmp_path):
    tiny_vatt(form).save_to_preset(tmp_path / "mine")
    backbone = keras_vatt.VATTBackbone.from_preset(tmp_path / "mine")
    assert type(backbone) is type(tiny_backbone(form))


def test_an_argument_that_nothing_takes_is_refused(tmp_path):
    model_with_words().save_to_preset(tmp_path / "mine")
    with pytest.raises(PresetError, match="drop_out"):
        keras_vatt.VATT.from_preset(tmp_path / "mine", drop_out=0.3)


def change_weights(folder, change):
    tensors = safetensors.numpy.load_file(folder / "model.safetensors")
    change(tensors)
    safetensors.numpy.save_file(tensors, folder / "model.safetensors")


def test_all_mismatches_are_in_one_error(tmp_path):
    model_with_words().save_to_preset(tmp_path / "mine")

    def spoil(tensors):
        names = sorted(tensors)
        tensors.pop(names[0])
        tensors[names[1]] = np.zeros((2, 2, 2, 2), np.float32)
        tensors[names[2]] = tensors[names[2]].astype(np.int32)
        tensors["left/over"] = np.zeros(1, np.float32)

    change_weights(tmp_path / "mine", spoil)
    with pytest.raises(WeightsMismatchError) as caught:
        keras_vatt.VATT.from_preset(tmp_path / "mine")
    kinds = sorted(problem.split(":")[0] for problem in caught.value.problems)
    assert kinds == ["missing", "not expected", "wrong dtype", "wrong shape"]


def test_truncated_weights_give_one_clear_error(tmp_path):
    model_with_words().save_to_preset(tmp_path / "mine")
    path = tmp_path / "mine" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="damaged or truncated"):
        keras_vatt.VATT.from_preset(tmp_path / "mine")


def test_a_save_that_fails_leaves_the_old_preset(tmp_path, monkeypatch):
    model = model_with_words()
    model.save_to_preset(tmp_path / "mine")
    before = {p.name: p.read_bytes() for p in (tmp_path / "mine").glob("*.*")}

    def fail(*_arguments, **_keywords):
        raise OSError("no space left")

    monkeypatch.setattr(safetensors.numpy, "save_file", fail)
    with pytest.raises(OSError, match="no space left"):
        tiny_vatt("specific").save_to_preset(tmp_path / "mine")
    after = {p.name: p.read_bytes() for p in (tmp_path / "mine").glob("*.*")}
    assert after == before
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_preset_takes_the_place_of_an_earlier_one(tmp_path):
    model_with_words().save_to_preset(tmp_path / "mine")
    specific = tiny_vatt("specific")
    specific.save_to_preset(tmp_path / "mine")
    assert_same_outputs(specific, keras_vatt.VATT.from_preset(tmp_path / "mine"))
    assert not (tmp_path / "mine" / "tokenizer.json").exists()


def test_other_files_are_never_replaced(tmp_path):
    (tmp_path / "thesis.txt").write_text("do not lose")
    with pytest.raises(PresetError, match="not a preset"):
        tiny_vatt("agnostic").save_to_preset(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "do not lose"


@pytest.mark.parametrize(
    "entry",
    [
        {"class_name": "system", "module": "os", "config": {}},
        {
            "class_name": "__lambda__",
            "module": "builtins",
            "registered_name": None,
            "config": {"value": "x"},
        },
        {"class_name": "Evil", "registered_name": "evil>Evil", "config": {}},
    ],
)
def test_classes_of_other_packages_are_refused(tmp_path, entry):
    model_with_words().save_to_preset(tmp_path / "mine")
    path = tmp_path / "mine" / "task.json"
    config = json.loads(path.read_text())
    config["config"]["bridge_head"] = entry
    path.write_text(json.dumps(config))
    with pytest.raises(PresetError, match="may only use"):
        keras_vatt.VATT.from_preset(tmp_path / "mine")


@pytest.mark.parametrize(
    "preset", ["vatt_unknown", "../vatt_tiny_agnostic", "hf://nobody", "hf://a/b@"]
)
def test_what_is_no_preset_is_named(preset):
    with pytest.raises(PresetError, match=preset.replace(".", r"\.")):
        keras_vatt.VATT.from_preset(preset)


def test_a_vatt_of_an_audio_only_preset_is_refused(tmp_path):
    backbone = tiny_backbone(modalities=("audio",))
    keras_vatt.VATTAudioClassifier(backbone, 2).save_to_preset(tmp_path / "sounds")
    with pytest.raises(PresetError, match=r"video and with audio or text.*\['audio'\]"):
        keras_vatt.VATT.from_preset(tmp_path / "sounds")
