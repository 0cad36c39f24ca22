"""Checkpoints of the original code with other settings than the published models."""

import copy

import keras
import numpy as np
import pytest
from keras import ops

from keras_vatt import VATT, VATTAudioClassifier, VATTVideoClassifier
from keras_vatt.conversion import CheckpointMismatchError, convert
from keras_vatt.conversion._original_config import model_from_original_config
from tests.golden_files import FOLDER, golden_arrays, golden_config

PRETRAINED = (
    "tx_relu_joint",
    "tx_geglu_two_heads",
    "tx_swish_max_pooling",
    "ut_swish_post_norm",
    "ut_relu",
)
CLASSIFIERS = (
    "vit_pre_projection",
    "vit_geglu_post_norm",
    "wat_post_projection",
    "wat_agnostic_gaps",
)
EMBEDDINGS = {"toaud": "to_audio", "totxt": "to_text", "tovid": "to_video"}


def converted(name, output):
    prefix = FOLDER / "options" / name / "ckpt-1000"
    return convert(prefix, golden_config(f"options/{name}"), output)


def numbers(name):
    return golden_arrays(f"options/{name}/inference.npz")


def pretrained_outputs(model, arrays):
    """Our outputs by their names in the golden files."""
    outputs = {}
    for modality in ("video", "audio", "text"):
        inputs = arrays[f"in.{modality}"]
        features = model.backbone.encode_modality(modality, inputs)
        outputs |= {f"{modality}.{key}": value for key, value in features.items()}
        embeddings = model({modality: inputs})[modality]
        for theirs, ours in EMBEDDINGS.items():
            if ours in embeddings:
                name = f"head_stack.bridge.{modality}.{theirs}"
                outputs[name] = embeddings[ours]
    return outputs


def assert_golden(outputs, arrays):
    expected = {k: array for k, array in arrays.items() if k.startswith("out.")}
    assert {f"out.{name}" for name in outputs} == set(expected)
    for name, output in outputs.items():
        array = expected[f"out.{name}"]
        actual = np.reshape(ops.convert_to_numpy(output), array.shape)
        np.testing.assert_allclose(actual, array, atol=2e-5, err_msg=name)


@pytest.mark.parametrize("name", PRETRAINED)
def test_a_pretrained_model_gives_the_outputs_of_the_original_code(name, tmp_path):
    arrays = numbers(name)
    model = converted(name, tmp_path / "preset")
    assert_golden(pretrained_outputs(model, arrays), arrays)
    again = VATT.from_preset(str(tmp_path / "preset"))
    assert again.backbone.get_config() == model.backbone.get_config()
    assert_golden(pretrained_outputs(again, arrays), arrays)


@pytest.mark.parametrize("name", PRETRAINED)
def test_pooled_features_alone_are_the_same(name, tmp_path):
    arrays = numbers(name)
    backbone = converted(name, tmp_path / "preset").backbone
    for modality in backbone.modalities:
        pooled = backbone.encode_modality(
            modality, arrays[f"in.{modality}"], pooled_only=True
        )
        np.testing.assert_allclose(
            ops.convert_to_numpy(pooled["features_pooled"]),
            arrays[f"out.{modality}.features_pooled"],
            atol=2e-5,
        )


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_classifier_gives_the_logits_of_the_original_code(name, tmp_path):
    task = VATTVideoClassifier if name.startswith("vit") else VATTAudioClassifier
    arrays = numbers(name)
    inputs = arrays["in.images" if name.startswith("vit") else "in.audio"]
    model = converted(name, tmp_path / "preset")
    again = task.from_preset(str(tmp_path / "preset"))
    for each in (model, again):
        assert_golden({"logits": each(inputs)}, arrays)


@pytest.mark.once
@pytest.mark.parametrize("name", ["wat_post_projection", "wat_agnostic_gaps"])
def test_clips_of_the_preprocessor_use_all_audio_positions(name):
    model, _ = model_from_original_config(golden_config(f"options/{name}"))
    samples = numbers(name)["in.audio"].shape[1]
    assert model.preprocessor.clip_spec.audio_samples == samples
    assert model.backbone.audio_stem.grid((1, samples, 1)) == (6,)
    assert model.backbone.audio_stem.grid((1, samples - 1, 1)) == (5,)
    model.preprocessor = None
    assert model.tower().clip_shape == (samples, 1)


@pytest.mark.once
@pytest.mark.parametrize("name", [*PRETRAINED, *CLASSIFIERS])
def test_no_preset_claims_more_parameters_than_it_has(name):
    model, _ = model_from_original_config(golden_config(f"options/{name}"))
    backbone = model.backbone
    lower_bound = backbone.minimum_parameters(backbone.get_config())
    assert 0 < lower_bound <= backbone.count_params()


@pytest.mark.parametrize("name", ["tx_geglu_two_heads", "tx_swish_max_pooling"])
def test_towers_with_other_settings_are_quantized_and_exported(name):
    model, _ = model_from_original_config(golden_config(f"options/{name}"))
    arrays = numbers(name)
    batch = {m: arrays[f"in.{m}"] for m in model.backbone.modalities}
    outputs = model(batch)
    tower = model.tower("text", clip_shape=(9,))
    assert set(tower(batch["text"])) == {"features_pooled", "to_video"}
    model.quantize("int8")
    quantized = model(batch)
    for one, two in zip(*map(keras.tree.flatten, (outputs, quantized)), strict=True):
        assert one.shape == two.shape
        assert np.isfinite(ops.convert_to_numpy(two)).all()


@pytest.mark.once
def test_weights_without_an_effect_are_dropped_but_no_others(tmp_path):
    config = copy.deepcopy(golden_config("options/tx_geglu_two_heads"))
    heads = config["model_config"]["head_config"]["bridge"]
    del heads[0]
    prefix = FOLDER / "options" / "tx_geglu_two_heads" / "ckpt-1000"
    with pytest.raises(CheckpointMismatchError, match="_bridge_heads/1"):
        convert(prefix, config, tmp_path / "preset")


@pytest.mark.once
@pytest.mark.parametrize(
    ("place", "name", "value", "message"),
    [
        (("backbones", "t5"), "d_pre_proj", 35, "d_pre_proj"),
        (("backbones", "t5"), "d_pre_proj", None, "d_embedding"),
        (("backbones", "t5"), "activation", "geglu", "geglu"),
        (("backbones", "t5"), "num_relative_buckets", 3, "num_buckets"),
        (("backbones", "t5"), "name", "bert_small", "bert_small.*not supported"),
        (("backbones", "wat"), "name", "spt_base", "spt_base.*not supported"),
        (("backbones", "vit"), "activation", "mish", "activation"),
        (("model_config", "head_config"), "bridge", [], "bridge head"),
        (
            ("model_config", "head_config", "bridge", 0),
            "aud_to_vid_txt_kwargs",
            {"d_model": 7},
            "one width",
        ),
        (
            ("model_config", "head_config", "bridge", 0, "bn_config"),
            "renorm",
            True,
            "renorm.*not supported",
        ),
    ],
)
def test_settings_that_no_model_of_the_original_code_can_have_are_refused(
    place, name, value, message
):
    config = copy.deepcopy(golden_config("tx_fac"))
    entry = config
    for step in place:
        entry = entry[step]
    entry[name] = value
    with pytest.raises(ValueError, match=message):
        model_from_original_config(config)


@pytest.mark.once
def test_a_text_tower_of_another_architecture_is_named():
    config = copy.deepcopy(golden_config("tx_fac"))
    config["backbones"]["linear"] = config["backbones"].pop("t5")
    with pytest.raises(ValueError, match="lacks 't5'.*'linear'"):
        model_from_original_config(config)


@pytest.mark.once
def test_a_published_model_keeps_its_config():
    config = model_from_original_config(golden_config("tx_fac"))[0].backbone
    new = {"audio_patch_stride", "position_norm_epsilon", "activation", "use_bias"}
    assert not new & set(config.get_config())
    assert set(config.get_config()["video_encoder"]) == {
        "hidden_dim",
        "intermediate_dim",
        "num_layers",
        "num_heads",
        "head_dim",
    }
