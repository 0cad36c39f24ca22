"""The first call with the name of a published preset, and the calls after it."""

import json

import keras
import numpy as np
import pytest
from huggingface_hub import constants

import keras_vatt
from keras_vatt.conversion import convert, fetch_preset
from keras_vatt.conversion._original_config import layout_of
from keras_vatt.conversion._original_keys import original_key
from keras_vatt.models import describe_presets
from keras_vatt.storage import PresetError, PresetFolder, named_variables
from tests.published.original_files import model_specs, random_value, write_original
from tests.published.tiny_publication import DATA, INDEX, NAME, PATH, WORDS

once = pytest.mark.once


def weights(model):
    return {
        name: keras.ops.convert_to_numpy(variable.value)
        for name, variable in named_variables(model).items()
    }


def test_the_first_call_downloads_and_the_second_does_not(server):
    first = keras_vatt.VATT.from_preset(NAME)
    layout = layout_of(first)
    for name, value in weights(first).items():
        key = original_key(name, layout)
        expected = random_value(key, np.empty(value.shape, "float32"))
        np.testing.assert_array_equal(value, expected)
    server.requests.clear()
    second = keras_vatt.VATT.from_preset(NAME)
    assert server.requests == []
    for name, value in weights(second).items():
        np.testing.assert_array_equal(value, weights(first)[name])


@once
def test_arguments_of_from_preset_apply_to_downloaded_weights(server):
    model = keras_vatt.VATT.from_preset(NAME, modalities=("video", "audio"))
    assert tuple(model.backbone.modalities) == ("video", "audio")
    backbone = keras_vatt.VATTBackbone.from_preset(NAME, dtype="bfloat16")
    assert backbone.variable_dtype == "bfloat16"


@once
def test_the_cache_holds_an_ordinary_preset_and_nothing_else(server, cache):
    folder = fetch_preset(NAME)
    assert folder == cache / "presets" / NAME
    assert {path.name for path in cache.rglob("*") if path.is_file()} >= {
        "model.safetensors", "README.md", "config.json", "metadata.json"
    }  # fmt: skip
    assert not (cache / "checkpoints" / NAME).exists()
    assert keras_vatt.VATT.from_preset(folder).provenance is not None


@once
def test_the_card_credits_the_authors_and_names_the_checkpoint(server):
    provenance = keras_vatt.VATT.from_preset(NAME).provenance
    assert "Hassan Akbari" in provenance.source
    assert f"`{PATH}`" in provenance.source
    assert "downloaded from a mirror, and not compared" in provenance.source
    assert server.url not in provenance.source
    assert provenance.license == "apache-2.0"
    card = PresetFolder(NAME).read_card()
    assert "Hassan Akbari" in card
    assert "load_weights=False" not in card


@once
def test_strings_work_with_the_vocabulary_of_the_authors(server):
    tokenizer = keras_vatt.VATT.from_preset(NAME).preprocessor.tokenizer
    assert tokenizer.get_vocabulary() == WORDS
    # Other loaders use it too.
    tokenizer = keras_vatt.VATTTokenizer.from_preset(NAME)
    assert tokenizer("A red star!")[:4].tolist() == [4, 5, 6, 0]


@once
def test_the_checkpoint_is_kept_and_used_on_request(server, cache):
    folder = fetch_preset(NAME, keep_checkpoint=True)
    kept = cache / "checkpoints" / NAME
    assert {path.name for path in kept.iterdir()} == {
        INDEX.rpartition("/")[2], DATA.rpartition("/")[2]
    }  # fmt: skip
    convert(kept, NAME, cache / "by_hand")
    by_hand = weights(keras_vatt.VATT.from_preset(cache / "by_hand"))
    for name, value in weights(keras_vatt.VATT.from_preset(folder)).items():
        np.testing.assert_array_equal(by_hand[name], value)
    (folder / "config.json").unlink()
    server.requests.clear()
    fetch_preset(NAME, ["<pad>", "<bos>", "<eos>", "<unk>"])
    assert server.requests == []


@once
def test_optimizer_slots_are_left_out(server, cache, tmp_path):
    model = keras_vatt.VATT.from_preset(NAME, load_weights=False)
    write_original(tmp_path / PATH, model_specs(model), optimizer_slots=True)
    for path in (INDEX, DATA):
        server.replace(path, (tmp_path / path).read_bytes())
    folder = fetch_preset(NAME)
    size = (folder / "model.safetensors").stat().st_size
    assert size < 4.1 * model.count_params()


@once
def test_random_weights_need_no_download(server):
    keras_vatt.VATT.from_preset(NAME, load_weights=False)
    keras_vatt.VATTPreprocessor.from_preset(NAME)
    assert server.requests == []


@once
def test_a_folder_never_leads_to_a_download(server, tmp_path, monkeypatch):
    built_in = PresetFolder(NAME).path
    folder = tmp_path / "copies" / NAME
    folder.mkdir(parents=True)
    for path in built_in.glob("*.json"):
        (folder / path.name).write_bytes(path.read_bytes())
    metadata = json.loads((folder / "metadata.json").read_text())
    metadata["weights_url"] = server.url
    (folder / "metadata.json").write_text(json.dumps(metadata))
    for preset in (folder, f"./{NAME}", f"{tmp_path}/copies/{NAME}"):
        monkeypatch.chdir(folder.parent)
        with pytest.raises(PresetError, match="has no weights"):
            keras_vatt.VATT.from_preset(preset)
    assert server.requests == []


@once
def test_presets_without_a_published_checkpoint_are_not_fetched(server):
    with pytest.raises(PresetError, match="has no weights"):
        keras_vatt.VATT.from_preset("vatt_base_agnostic")
    with pytest.raises(PresetError, match="No checkpoint of 'vatt_base_agnostic'"):
        fetch_preset("vatt_base_agnostic")
    assert server.requests == []


@once
def test_a_vocabulary_is_added_to_a_cached_preset_without_a_download(server):
    fetch_preset(NAME)
    server.requests.clear()
    fetch_preset(NAME, [*WORDS[:4], "blue"])
    assert keras_vatt.VATTTokenizer.from_preset(NAME).get_vocabulary()[-1] == "blue"
    assert server.requests == []
    assert "Hassan Akbari" in keras_vatt.VATT.from_preset(NAME).provenance.source


@once
def test_an_invalid_vocabulary_fails_before_the_download(server):
    with pytest.raises(ValueError, match="lacks the special words"):
        fetch_preset(NAME, ["blue"])
    assert server.requests == []


@once
def test_offline_mode_uses_the_cache(server, monkeypatch):
    fetch_preset(NAME)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    keras_vatt.VATT.from_preset(NAME)


@once
def test_a_cached_preset_counts_as_one_with_weights(server):
    assert not describe_presets()[NAME]["has_weights"]
    fetch_preset(NAME)
    assert describe_presets()[NAME]["has_weights"]


@once
def test_a_wrong_class_or_argument_fails_before_the_download(server):
    with pytest.raises(PresetError, match="has no head for VATTVideoClassifier"):
        keras_vatt.VATTVideoClassifier.from_preset(NAME)
    with pytest.raises(PresetError, match="has the arguments"):
        keras_vatt.VATT.from_preset(NAME, heads=3)
    assert server.requests == []
    classifier = keras_vatt.VATTVideoClassifier.from_preset(NAME, num_classes=3)
    assert classifier.num_classes == 3


@once
def test_reported_results_are_not_those_of_the_downloaded_weights(server, monkeypatch):
    reported = {"Clips, as reported by the authors of VATT": {"top-1": 1.0}}
    read = PresetFolder.read_metadata

    def with_results(folder):
        metadata = read(folder)
        metadata["provenance"]["evaluation"] = reported
        return metadata

    with monkeypatch.context() as patch:
        patch.setattr(PresetFolder, "read_metadata", with_results)
        folder = fetch_preset(NAME)
    (task,) = keras_vatt.VATT.from_preset(folder).provenance.evaluation
    assert task.endswith("by the authors of VATT; not measured on these weights")
