"""A preset claims results of its own weights only."""

import keras
import numpy as np
import pytest

import keras_vatt
from keras_vatt.models import _preset_saving as saving
from tests.models.classifiers import tiny_classifier
from tests.models.tiny import tiny_batch, tiny_vatt

RECORD = keras_vatt.Provenance(
    source="a garden",
    license="cc-by-4.0",
    training={"final loss": 1.254},
    commands=("keras-vatt pretrain --data garden/", "keras-vatt evaluate"),
    evaluation={"text->video": {"recall_at_1": 0.5}},
)


@pytest.fixture(scope="module")
def preset(tmp_path_factory):
    model = tiny_vatt()
    model.provenance = RECORD
    folder = tmp_path_factory.mktemp("presets") / "garden"
    model.save_to_preset(folder)
    return folder


@pytest.fixture
def model(preset):
    return keras_vatt.VATT.from_preset(preset)


def saved_source(model, folder):
    """Returns the source in a saved preset; its card and results must agree."""
    model.save_to_preset(folder)
    card = (folder / "README.md").read_text()
    provenance = type(model).from_preset(folder).provenance
    assert f"Source: {provenance.source}." in card
    kept = provenance == RECORD
    assert ("1.254" in card) == ("recall_at_1" in card) == kept
    assert ("```sh\nkeras-vatt pretrain --data garden/\n" in card) == kept
    assert bool(provenance.evaluation or provenance.training) == kept
    return provenance.source


def test_the_smallest_change_of_any_one_weight_voids_the_record(model):
    for variable in model.weights:
        before = np.array(keras.ops.convert_to_numpy(variable))
        after = before.copy()
        after.flat[after.size // 2] = np.nextafter(after.flat[after.size // 2], 9)
        variable.assign(after)
        assert model.provenance.source == "trained further from a garden"
        variable.assign(before)
        assert model.provenance == RECORD


@pytest.mark.once
def test_a_change_that_leaves_the_sum_voids_the_record(model, tmp_path):
    kernel = max(model.weights, key=lambda variable: len(variable.shape))
    values = np.array(keras.ops.convert_to_numpy(kernel))
    kernel.assign(values[::-1])
    assert saved_source(model, tmp_path / "next") == "trained further from a garden"


def test_a_license_under_its_old_key_is_read():
    config = RECORD.get_config()
    config["licence"] = config.pop("license")
    assert keras_vatt.Provenance.from_config(config) == RECORD


@pytest.mark.parametrize("settings", [{}, {"max_shard_size": 1e-5}])
def test_unchanged_weights_keep_the_record(model, tmp_path, settings):
    model.compile("adam", harmonizer="realign")
    model.encode(text=tiny_batch()["text"])
    model.save_to_preset(tmp_path / "next", **settings)
    again = keras_vatt.VATT.from_preset(tmp_path / "next")
    assert again.provenance == RECORD
    assert saved_source(again, tmp_path / "last") == "a garden"


@pytest.mark.once
@pytest.mark.parametrize("dtype", ["bfloat16", "mixed_float16"])
def test_another_dtype_keeps_the_record(preset, tmp_path, dtype):
    model = keras_vatt.VATT.from_preset(preset, dtype=dtype)
    assert saved_source(model, tmp_path / "next") == "a garden"


@pytest.mark.once
def test_the_demo_preset_saved_again_keeps_its_record(tmp_path):
    model = keras_vatt.VATT.from_preset("vatt_tiny_agnostic")
    model.save_to_preset(tmp_path / "next")
    again = keras_vatt.VATT.from_preset(tmp_path / "next")
    assert again.provenance == model.provenance
    assert again.provenance.evaluation


def test_training_in_half_precision_voids_the_record(preset, tmp_path):
    model = keras_vatt.VATT.from_preset(preset, dtype="mixed_bfloat16")
    model.compile(
        keras.optimizers.SGD(1e-3),
        run_eagerly=keras.config.backend() == "tensorflow",
    )
    model.train_on_batch(tiny_batch())
    assert saved_source(model, tmp_path / "next") == "trained further from a garden"


@pytest.mark.once
def test_a_record_that_is_set_is_of_the_weights_of_that_time(tmp_path):
    model = tiny_vatt()
    model.provenance = RECORD
    model.set_weights([weight + 1 for weight in model.get_weights()])
    assert saved_source(model, tmp_path / "next") == "trained further from a garden"
    model.provenance = RECORD
    assert saved_source(model, tmp_path / "next") == "a garden"


@pytest.mark.once
def test_loaded_weights_of_another_model_void_the_record(model, tmp_path):
    model.save_weights(tmp_path / "own.weights.h5")
    keras.utils.set_random_seed(1)  # The preset may have the weights of seed 0.
    tiny_vatt().save_weights(tmp_path / "other.weights.h5")
    model.load_weights(tmp_path / "own.weights.h5")
    assert model.provenance == RECORD
    model.load_weights(tmp_path / "other.weights.h5")
    assert saved_source(model, tmp_path / "next") == "trained further from a garden"


def test_lora_voids_the_record_once_it_changes_a_kernel(model, tmp_path):
    model.backbone.enable_lora(2)
    assert saved_source(model, tmp_path / "untrained") == "a garden"
    lora = next(v for v in model.weights if "lora_kernel_b" in v.path)
    lora.assign(np.full(lora.shape, 1e-2))
    assert saved_source(model, tmp_path / "next") == "trained further from a garden"


def test_quantization_voids_the_record_and_is_named(model, tmp_path):
    model.quantize("int8")
    assert saved_source(model, tmp_path / "next") == "quantized from a garden"
    again = keras_vatt.VATT.from_preset(tmp_path / "next")
    again.backbone.enable_lora(2)
    assert again.provenance.source == "quantized from a garden"


@pytest.mark.once
def test_what_is_pushed_to_the_hub_has_no_void_record(model, monkeypatch):
    cards = []

    def upload(folder, *_):
        with open(f"{folder}/README.md", encoding="utf-8") as file:
            cards.append(file.read())

    monkeypatch.setattr(saving, "upload_preset", upload)
    model.push_to_hub("owner/name")
    model.weights[len(model.weights) // 2].assign_add(1e-3)
    model.push_to_hub("owner/name")
    assert ["1.254" in card for card in cards] == [True, False]


@pytest.mark.once
def test_a_backbone_does_not_claim_the_results_of_its_task(preset, tmp_path):
    backbone = keras_vatt.VATTAgnosticBackbone.from_preset(preset)
    source = "the backbone (video, audio, text) taken from a garden"
    assert saved_source(backbone, tmp_path / "next") == source


@pytest.mark.once
def test_a_part_of_the_modalities_does_not_claim_the_results_of_all(preset, tmp_path):
    backbone = keras_vatt.VATTAgnosticBackbone.from_preset(preset, modalities=["video"])
    source = "the backbone (video) taken from a garden"
    assert saved_source(backbone, tmp_path / "next") == source


@pytest.mark.once
@pytest.mark.parametrize(
    ("settings", "made"),
    [
        ({"layer_norm_epsilon": 1e-2}, "made with other settings from "),
        ({"dropout": 0.5, "token_keep_rate": 0.5, "rematerialize": True}, ""),
    ],
)
def test_settings_that_change_the_outputs_void_the_record(
    preset, tmp_path, settings, made
):
    model = keras_vatt.VATT.from_preset(preset, **settings)
    assert saved_source(model, tmp_path / "next") == f"{made}a garden"


@pytest.mark.once
def test_a_classifier_claims_its_results_until_it_changes(tmp_path):
    model = tiny_classifier("video")
    model.provenance = RECORD
    assert saved_source(model, tmp_path / "mine") == "a garden"
    again = keras_vatt.VATTVideoClassifier.from_preset(tmp_path / "mine")
    again.weights[-1].assign_add(np.ones(again.weights[-1].shape))
    assert saved_source(again, tmp_path / "next") == "trained further from a garden"
