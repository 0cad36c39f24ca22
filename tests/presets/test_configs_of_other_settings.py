"""Settings beyond those of the published models in configs from strangers."""

import copy
import json

import pytest

import keras_vatt
from keras_vatt.conversion._original_config import model_from_original_config
from keras_vatt.storage import PresetError
from keras_vatt.storage._config_guard import check_config
from tests.golden_files import golden_config

pytestmark = pytest.mark.once

NAMES = ("tx_relu_joint", "tx_geglu_two_heads", "ut_swish_post_norm")


def saved_config(name):
    """The `task.json` of a model with other settings."""
    model, _ = model_from_original_config(golden_config(f"options/{name}"))
    return json.loads(json.dumps(keras_vatt_config(model)))


def keras_vatt_config(model):
    parts = (model.backbone, model.bridge_head)
    return [
        {
            "class_name": type(part).__name__,
            "registered_name": f"keras_vatt>{type(part).__name__}",
            "config": part.get_config(),
        }
        for part in parts
    ]


@pytest.mark.parametrize("name", NAMES)
def test_settings_of_every_layer_pass(name):
    for config in saved_config(name):
        check_config(config, "config.json")


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("video_encoder", "activation"), "mish"),
        (("video_encoder", "use_bias"), "no"),
        (("video_encoder", "num_classes"), 3),
        (("video_encoder", "layer_norm_epsilon"), -1.0),
        (("audio_encoder", "projection_dim"), 2**20),
        (("audio_encoder", "projection_activation"), ["relu"]),
        (("text_encoder", "num_relative_buckets"), 2**30),
        (("text_encoder", "max_relative_distance"), 0),
        (("text_encoder", "pooling"), {"class_name": "Lambda"}),
        (("audio_patch_stride",), 0),
        (("position_norm_epsilon",), "tiny"),
    ],
)
def test_settings_of_a_backbone_are_checked(place, value):
    config = saved_config("tx_relu_joint")[0]
    entry = config["config"]
    for step in place[:-1]:
        entry = entry[step]
    entry[place[-1]] = value
    with pytest.raises(PresetError, match=place[-1]):
        check_config(config, "config.json")


@pytest.mark.parametrize(
    "settings", [[], {"momentum": 2}, {"scale": 1}, {"gamma_initializer": "zeros"}]
)
def test_settings_of_a_batch_norm_are_checked(settings):
    config = saved_config("tx_relu_joint")[1]
    config["config"]["batch_norm"] = settings
    with pytest.raises(PresetError, match="batch_norm"):
        check_config(config, "task.json")


@pytest.mark.parametrize("modality", ["video", "text"])
def test_an_encoder_lists_its_settings_if_one_is_unknown(modality):
    sizes = copy.deepcopy(saved_config("tx_relu_joint")[0]["config"]["audio_encoder"])
    sizes = {k: v for k, v in sizes.items() if isinstance(v, int)}
    other = {"pooling": "max"} if modality == "video" else {"use_bias": False}
    with pytest.raises(ValueError, match=f"unknown: .*{next(iter(other))}"):
        keras_vatt.VATTSpecificBackbone(
            **{f"{modality}_encoder": sizes | other}, modalities=(modality,)
        )
    del sizes["head_dim"]
    with pytest.raises(ValueError, match="Missing: .*head_dim"):
        keras_vatt.VATTSpecificBackbone(
            **{f"{modality}_encoder": sizes}, modalities=(modality,)
        )
