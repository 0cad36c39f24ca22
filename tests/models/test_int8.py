"""A quantized model has nearly the same outputs with a quarter of the bytes."""

import json
import re

import keras
import numpy as np
import pytest

import keras_vatt
from keras_vatt.storage import PresetError, WeightsMismatchError, named_variables
from tests.models.adapted import (
    KINDS,
    assert_same_outputs,
    model_of,
    one_step_of_sgd,
    outputs_of,
)

# Wide enough that the weights that stay float are negligible.
WIDE = {"hidden_dim": 64, "intermediate_dim": 128, "num_layers": 1}
WIDE |= {"num_heads": 4, "head_dim": 16}


def cosines(arrays, others):
    for one, other in zip(arrays, others, strict=True):
        one, other = (x.reshape(x.shape[0], -1) for x in (one, other))
        norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
        yield from np.sum(one * other, axis=1) / norms


def num_bytes(variables):
    return sum(
        np.prod(v.shape) * int(re.sub(r"\D", "", v.dtype)) // 8 for v in variables
    )


def quantized(kind, **overrides):
    model = model_of(kind, **overrides)
    model.quantize("int8")
    return model


@pytest.mark.parametrize("kind", KINDS)
def test_blocks_become_int8_and_outputs_change_little(kind):
    model = model_of(kind)
    expected = outputs_of(model)
    model.quantize("int8")
    dtypes = {n: v.dtype for n, v in named_variables(model).items()}
    in_blocks = [n for n in dtypes if "/block_0/" in n and n.endswith("/kernel")]
    assert len(in_blocks) in (6, 18)
    assert {dtypes[name] for name in in_blocks} == {"int8"}
    heads = [n for n in dtypes if n.startswith(("classifier/", "bridge_head/"))]
    assert heads
    assert {dtypes[name] for name in heads} == {"float32"}
    assert min(cosines(expected, outputs_of(model))) > 0.97


def test_a_wide_model_takes_less_than_half_the_bytes():
    model = model_of("agnostic A", **WIDE)
    expected, float_bytes = outputs_of(model), num_bytes(model.backbone.weights)
    model.quantize("int8")
    assert min(cosines(expected, outputs_of(model))) > 0.99
    assert num_bytes(model.backbone.weights) < 0.45 * float_bytes


def test_a_dense_layer_is_rounded_as_the_formula_says():
    model = model_of("agnostic A")
    layer = model.backbone.encoder.blocks[0].attention.query
    kernel = keras.ops.convert_to_numpy(layer.kernel).astype("float64")
    model.quantize("int8")
    scale = 127 / np.abs(kernel).max(axis=0)
    stored = keras.ops.convert_to_numpy(layer.kernel).astype("int32")
    assert np.abs(stored - kernel * scale).max() <= 0.5 + 1e-3
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(layer.kernel_scale), scale, rtol=1e-4
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_quantized_preset_comes_back_as_it_was(kind, tmp_path):
    model = quantized(kind)
    model.save_to_preset(tmp_path / "int8")
    again = type(model).from_preset(tmp_path / "int8")
    expected = {n: v.dtype for n, v in named_variables(model).items()}
    assert {n: v.dtype for n, v in named_variables(again).items()} == expected
    assert_same_outputs(again, outputs_of(model))
    again.save_to_preset(tmp_path / "int8 again")
    twice = type(model).from_preset(tmp_path / "int8 again")
    assert_same_outputs(twice, outputs_of(model))


@pytest.mark.parametrize("kind", ["agnostic VATT", "specific V"])
def test_a_quantized_keras_file_comes_back_as_it_was(kind, tmp_path):
    model = quantized(kind)
    model.save(tmp_path / "int8.keras")
    again = keras.saving.load_model(tmp_path / "int8.keras")
    assert_same_outputs(again, outputs_of(model))


def test_the_dtype_of_what_is_not_quantized_is_kept(tmp_path):
    model = quantized("agnostic A", dtype="mixed_bfloat16")
    assert model.backbone.encoder.blocks[0].attention.query.compute_dtype == "bfloat16"
    model.save_to_preset(tmp_path / "int8")
    again = keras_vatt.VATTAudioClassifier.from_preset(tmp_path / "int8")
    assert again.backbone.encoder.final_norm.compute_dtype == "bfloat16"
    assert_same_outputs(again, outputs_of(model))


def test_a_new_head_goes_onto_a_quantized_backbone(tmp_path):
    quantized("agnostic VATT").save_to_preset(tmp_path / "int8")
    classifier = keras_vatt.VATTAudioClassifier.from_preset(
        tmp_path / "int8", num_classes=3, modalities=("audio",)
    )
    assert classifier.backbone.modalities == ("audio",)
    classifier.backbone.enable_lora(2)
    losses = [float(one_step_of_sgd(classifier, 0.1)) for _ in range(5)]
    assert losses[-1] < losses[0]
    # Adding float changes to the rounded kernels would round them again.
    with pytest.raises(PresetError, match="save_lora_weights"):
        classifier.save_to_preset(tmp_path / "lora")


def test_lora_first_and_int8_then():
    model = model_of("agnostic A")
    model.backbone.enable_lora(2)
    one_step_of_sgd(model)
    expected = outputs_of(model)
    model.quantize("int8")
    assert min(cosines(expected, outputs_of(model))) > 0.98


def test_a_compiled_model_is_compiled_again():
    model = model_of("agnostic A")
    sounds = np.random.default_rng(0).uniform(-1, 1, (2, 96, 1)).astype("float32")
    before = keras.Model.predict(model, sounds, verbose=0)
    model.quantize("int8")
    after = keras.Model.predict(model, sounds, verbose=0)
    assert 0 < np.abs(before - after).max() < 0.1


@pytest.mark.parametrize("filters", ["query", ["query$"], lambda x: x.name == "query"])
def test_filters_choose_layers(filters):
    model = model_of("agnostic A")
    model.quantize("int8", filters=filters)
    dtypes = {n: v.dtype for n, v in named_variables(model).items()}
    assert [n.split("/")[-2] for n in dtypes if dtypes[n] == "int8"] == ["query"]


def test_what_would_not_come_back_is_refused(tmp_path):
    model = model_of("agnostic A")
    with pytest.raises(ValueError, match="'int8'"):
        model.quantize("float8")
    config = keras.quantizers.Int8QuantizationConfig(activation_quantizer=None)
    with pytest.raises(ValueError, match="default config"):
        model.quantize(config=config)
    model.quantize("int8")
    model.save_to_preset(tmp_path / "int8")
    with pytest.raises(PresetError, match="quantized"):
        keras_vatt.VATTAudioClassifier.from_preset(tmp_path / "int8", dtype="float32")


def test_int8_tensors_do_not_pass_for_floats(tmp_path):
    quantized("agnostic A").save_to_preset(tmp_path / "int8")
    path = tmp_path / "int8" / "config.json"
    config = json.loads(path.read_text())
    config["config"]["dtype"] = "float32"
    path.write_text(json.dumps(config))
    with pytest.raises(WeightsMismatchError, match="I8"):
        keras_vatt.VATTAudioClassifier.from_preset(tmp_path / "int8")


def test_patterns_of_layers_in_a_strangers_preset_are_refused(tmp_path):
    quantized("agnostic A").save_to_preset(tmp_path / "int8")
    path = tmp_path / "int8" / "config.json"
    config = json.loads(path.read_text())
    policies = config["config"]["dtype"]["config"]["policy_map"]
    policies["(a+)+$"] = next(iter(policies.values()))
    path.write_text(json.dumps(config))
    with pytest.raises(PresetError, match="paths"):
        keras_vatt.VATTAudioClassifier.from_preset(tmp_path / "int8")
