"""Presets on the Hub, by its real client: round trips and errors."""

import pathlib

import huggingface_hub
import keras_hub
import numpy as np
import pytest
from huggingface_hub import constants

import keras_vatt
from keras_vatt.storage import PresetError
from tests.models.tiny import tiny_batch, tiny_vatt

REPOSITORY = "tester/tiny"
URI = f"hf://{REPOSITORY}"


@pytest.fixture
def model():
    backbone, head = tiny_vatt(vocabulary_size=400, word_embedding_dim=32), None
    tokenizer = keras_vatt.VATTTokenizer.from_captions(["a red star"], 400, 5)
    preprocessor = keras_vatt.VATTPreprocessor(tokenizer)
    return keras_vatt.VATT(
        backbone.backbone, backbone.bridge_head, preprocessor, name=head
    )


def embedding(model):
    return model.encode(text=tiny_batch()["text"])["text"]["to_video"]


def assert_same(model, other):
    np.testing.assert_array_equal(embedding(other), embedding(model))


def test_a_model_goes_to_the_hub_and_comes_back(hub, model):
    address = model.push_to_hub(REPOSITORY, private=True)
    assert address.startswith(hub.url)
    assert hub.repositories[REPOSITORY].private
    files = hub.repositories[REPOSITORY].branches["main"][-1]
    assert {"config.json", "model.safetensors", "README.md"} <= set(files)
    assert "assets/tokenizer/vocabulary.txt" in files
    again = keras_vatt.VATT.from_preset(URI)
    assert_same(model, again)
    assert again.preprocessor.tokenizer.vocabulary == (
        model.preprocessor.tokenizer.vocabulary
    )


def test_keras_hub_loads_the_backbone_from_the_hub(hub, model):
    model.push_to_hub(REPOSITORY)
    backbone = keras_hub.models.Backbone.from_preset(URI)
    assert type(backbone) is type(model.backbone)
    for actual, expected in zip(
        backbone.get_weights(), model.backbone.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(actual, expected)


def test_saving_to_an_address_is_pushing_to_its_branch(hub, model):
    model.save_to_preset(f"{URI}@trial")
    branches = hub.repositories[REPOSITORY].branches
    assert branches["main"][-1] == {}
    assert "config.json" in branches["trial"][-1]
    assert_same(model, keras_vatt.VATT.from_preset(f"{URI}@trial"))


def test_a_revision_may_be_a_commit(hub, model):
    first = model.push_to_hub(REPOSITORY).rsplit("/", 1)[-1]
    expected = embedding(model)
    model.set_weights([weight + 1 for weight in model.get_weights()])
    model.push_to_hub(REPOSITORY)
    old = keras_vatt.VATT.from_preset(f"{URI}@{first}")
    np.testing.assert_array_equal(embedding(old), expected)
    assert_same(model, keras_vatt.VATT.from_preset(URI))


def test_files_that_the_new_preset_does_not_have_are_removed(hub, model):
    model.push_to_hub(REPOSITORY)
    model.preprocessor.tokenizer = None
    model.push_to_hub(REPOSITORY)
    files = hub.repositories[REPOSITORY].branches["main"][-1]
    assert "assets/tokenizer/vocabulary.txt" not in files
    assert keras_vatt.VATT.from_preset(URI).preprocessor.tokenizer is None


def test_a_pull_request_does_not_change_the_branch(hub, model):
    model.push_to_hub(REPOSITORY)
    before = hub.repositories[REPOSITORY].branches["main"][-1]
    model.set_weights([weight + 1 for weight in model.get_weights()])
    address = model.push_to_hub(REPOSITORY, create_pr=True)
    assert address.endswith("/discussions/1")
    repository = hub.repositories[REPOSITORY]
    assert repository.branches["main"][-1] == before
    proposed = repository.pull_requests[0]
    assert proposed["model.safetensors"] != before["model.safetensors"]


def test_weights_are_downloaded_once_and_only_if_wanted(hub, model):
    model.push_to_hub(REPOSITORY)
    keras_vatt.VATT.from_preset(URI, load_weights=False)
    assert "model.safetensors" not in hub.downloads
    keras_vatt.VATT.from_preset(URI)
    keras_vatt.VATT.from_preset(URI)
    assert hub.downloads.count("model.safetensors") == 1


def test_what_is_in_the_cache_is_used_offline(hub, model, monkeypatch):
    model.push_to_hub(REPOSITORY)
    keras_vatt.VATT.from_preset(URI)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    huggingface_hub.close_session()
    assert_same(model, keras_vatt.VATT.from_preset(URI))
    with pytest.raises(PresetError, match="incomplete in the cache"):
        keras_vatt.VATT.from_preset("hf://tester/never-seen")


def test_an_unreachable_hub_is_named(hub, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    huggingface_hub.close_session()
    with pytest.raises(PresetError, match="incomplete in the cache"):
        keras_vatt.VATT.from_preset(URI)


def test_a_missing_repository_or_revision_is_named(hub, model):
    with pytest.raises(PresetError, match="no repository 'tester/nothing'"):
        keras_vatt.VATT.from_preset("hf://tester/nothing")
    model.push_to_hub(REPOSITORY)
    with pytest.raises(PresetError, match="no revision 'v9'"):
        keras_vatt.VATT.from_preset(f"{URI}@v9")


def test_a_private_repository_needs_the_token(hub, model, monkeypatch):
    model.push_to_hub(REPOSITORY, private=True)
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(PresetError, match="private.*hf auth login"):
        keras_vatt.VATT.from_preset(URI)


def test_a_wrong_token_is_refused_in_one_line(hub, model):
    with pytest.raises(PresetError) as caught:
        model.push_to_hub(REPOSITORY, token="hf_wrong")
    assert "401" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_error_of_the_server_is_one_line(hub, model):
    hub.status = 403
    with pytest.raises(PresetError, match="403") as caught:
        keras_vatt.VATT.from_preset(URI)
    assert "\n" not in str(caught.value)


def test_a_truncated_download_is_an_error_and_can_be_repeated(hub, model):
    model.push_to_hub(REPOSITORY)
    hub.truncate = 5000
    with pytest.raises(PresetError, match="Try again"):
        keras_vatt.VATT.from_preset(URI)
    hub.truncate = None
    assert_same(model, keras_vatt.VATT.from_preset(URI))


def test_a_file_that_was_changed_on_its_way_is_found_by_its_checksum(hub, model):
    model.push_to_hub(REPOSITORY)
    hub.corrupt = True
    with pytest.raises(PresetError, match="checksum"):
        keras_vatt.VATT.from_preset(URI)


def test_a_repository_that_is_no_preset_is_named(hub):
    huggingface_hub.HfApi().create_repo("tester/thesis")
    with pytest.raises(PresetError, match="not a preset"):
        keras_vatt.VATT.from_preset("hf://tester/thesis")


def test_saving_a_downloaded_model_does_not_change_the_cache(hub, model, tmp_path):
    model.push_to_hub(REPOSITORY)
    again = keras_vatt.VATT.from_preset(URI)
    cache = pathlib.Path(constants.HF_HUB_CACHE)
    before = {path: path.stat().st_mtime_ns for path in cache.rglob("*")}
    again.save_to_preset(tmp_path / "mine")
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*")} == before
    assert_same(model, keras_vatt.VATT.from_preset(tmp_path / "mine"))
