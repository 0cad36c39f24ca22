"""Tests that checkpoints of the original code match completely or are refused."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_vatt.conversion._convert import count_mapped
from keras_vatt.conversion._original_checkpoint import (
    CheckpointMismatchError,
    OriginalCheckpoint,
    TensorSpec,
    load_original_checkpoint,
    match_variables,
    read_key_listing,
)
from keras_vatt.conversion._original_config import model_from_original_config
from keras_vatt.conversion._original_keys import is_model_key
from keras_vatt.storage._tensor_names import named_variables
from tests.golden_files import FOLDER, golden_config
from tests.models.golden_models import CLASSIFIERS, PRETRAINING, golden_checkpoint

SLOTS = ".OPTIMIZER_SLOT"
SIZES = {
    "small": (512, 2048, 6, 8),
    "base": (768, 3072, 12, 12),
    "medium": (1024, 4096, 12, 16),
    "large": (1024, 4096, 24, 16),
}


def sizes(name):
    width, inner, layers, heads = SIZES[name]
    return {
        "d_model": width,
        "d_ff": inner,
        "num_layers": layers,
        "num_heads": heads,
        "d_kv": 64,
    }


def full_size_config(listing):
    """Returns the configuration of a listing in golden/full_size_keys/."""
    if listing == "pretrain_agnostic_medium":
        config = golden_config("ut_fac")
        config["backbones"]["unified"] |= sizes("medium") | {
            "d_post_proj": 1024,
            "max_vid_temporal_buckets": 8,
            "max_vid_spatial_buckets": 14,
            "max_aud_temporal_buckets": 1200,
            "max_txt_temporal_buckets": 16,
            "txt_embedding_dim": 300,
            "txt_vocab_size": 2**16,
        }
    elif listing.startswith("pretrain_specific"):
        video = {"b": "base", "m": "medium", "l": "large"}[listing[-3]]
        config = golden_config("tx_fac")
        config["backbones"]["vit"] |= sizes(video) | VIDEO_POSITIONS
        config["backbones"]["wat"] |= sizes("base") | AUDIO_POSITIONS
        config["backbones"]["t5"] |= sizes("small") | {
            "d_pre_proj": 512,
            "d_embedding": 300,
            "vocab_size": 2**16,
        }
    else:
        _, kind, size, _, form = listing.split("_")
        suffix = "_agnostic" if form == "agnostic" else ""
        config = golden_config(f"{kind}{suffix}_classifier")
        config["model"] |= sizes(size) | {"d_post_proj": 1024}
        config["model"] |= VIDEO_POSITIONS if kind == "vit" else AUDIO_POSITIONS
        config["num_classes"] = 400 if kind == "vit" else 527
        return config
    (head,) = config["model_config"]["head_config"]["bridge"]
    head["vid_to_aud_txt_kwargs"]["d_model"] = 512
    head["aud_to_vid_txt_kwargs"]["d_model"] = 512
    head["txt_to_vid_aud_kwargs"]["d_model"] = 256
    return config


def model_without_values(listing):
    """Builds the full-size model of a listing without its gigabytes of values."""
    with keras.StatelessScope(initialize_variables=False):
        model, layout = model_from_original_config(full_size_config(listing))
    keras.utils.clear_session()  # Or the next scope to end initializes them.
    return model, layout


VIDEO_POSITIONS = {
    "max_temporal_buckets": 8,
    "max_vertical_buckets": 14,
    "max_horizontal_buckets": 14,
}
AUDIO_POSITIONS = {"max_temporal_buckets": 1200}
LISTINGS = sorted(path.stem for path in (FOLDER / "full_size_keys").glob("*.tsv"))


def small_model(folder="vit_classifier"):
    return model_from_original_config(golden_config(folder))


@pytest.mark.parametrize("folder", PRETRAINING + CLASSIFIERS)
def test_every_tensor_of_a_checkpoint_is_loaded_and_none_is_left(folder):
    checkpoint = golden_checkpoint(folder)
    model, layout = small_model(folder)
    load_original_checkpoint(model, layout, checkpoint)
    matched = match_variables(model, layout, checkpoint.specs)
    assert set(matched) == {
        key for key in checkpoint.specs if is_model_key(key, layout)
    }
    assert len(matched) == len(model.weights)
    for key, variable in matched.items():
        np.testing.assert_array_equal(
            ops.convert_to_numpy(variable), checkpoint.read(key)
        )


@pytest.mark.once
@pytest.mark.parametrize("listing", LISTINGS)
def test_full_size_listings_are_mapped_whole(listing):
    path = FOLDER / "full_size_keys" / f"{listing}.tsv"
    specs = read_key_listing(path)
    model, layout = model_without_values(listing)
    assert len(match_variables(model, layout, specs)) == len(specs)
    header = path.read_text().split("\n")[0]
    assert f"total={model.count_params()}" in header


def preset_of(listing):
    """Returns the name of the built-in preset for the model of a listing."""
    task, *rest, form = listing.split("_")
    if task == "pretrain":
        size, form = (form, "specific") if rest == ["specific"] else (form, "agnostic")
        return f"vatt_{size}_{form}"
    kind, size, dataset = rest
    return "_".join(
        ["vatt", kind, size, *(["agnostic"] if form == "agnostic" else []), dataset]
    )


@pytest.mark.once
@pytest.mark.parametrize("listing", LISTINGS)
def test_the_preset_of_a_published_model_takes_its_whole_listing(listing):
    path = FOLDER / "full_size_keys" / f"{listing}.tsv"
    with keras.StatelessScope(initialize_variables=False):
        mapped, present = count_mapped(path, preset_of(listing))
    keras.utils.clear_session()
    assert mapped == present == len(read_key_listing(path))


@pytest.mark.once
@pytest.mark.parametrize("listing", LISTINGS)
def test_full_size_weights_are_trainable_where_the_original_says(listing):
    path = FOLDER / "full_size_keys" / f"{listing}.tsv"
    model, layout = model_without_values(listing)
    matched = match_variables(model, layout, read_key_listing(path))
    rows = [line.split("\t") for line in path.read_text().splitlines()[1:]]
    differing = [row[0] for row in rows if matched[row[0]].trainable != (row[3] == "1")]
    # The listings mark word vectors as trainable. VATT's configurations freeze them,
    # and the golden training step does not change them.
    assert all(key.split("/.")[0].endswith("embeddings") for key in differing)
    assert len(differing) == ("pretrain" in listing)


def test_what_does_not_fit_is_listed_and_nothing_is_copied():
    model, layout = small_model()
    before = [ops.convert_to_numpy(weight) for weight in model.weights]
    checkpoint = golden_checkpoint("vit_classifier")
    keys = [key for key in checkpoint.specs if is_model_key(key, layout)]
    missing, misshapen, mistyped = sorted(keys)[:3]
    del checkpoint.specs[missing]
    checkpoint.specs[misshapen] = TensorSpec((1, 2), "float32")
    checkpoint.specs[mistyped] = TensorSpec(checkpoint.specs[mistyped].shape, "int32")
    checkpoint.specs["model/else"] = TensorSpec((1,), "float32")
    with pytest.raises(CheckpointMismatchError) as error:
        load_original_checkpoint(model, layout, checkpoint)
    assert len(error.value.problems) == 4
    for key in (missing, misshapen, mistyped, "model/else"):
        assert key in str(error.value)
    for old, weight in zip(before, model.weights, strict=True):
        np.testing.assert_array_equal(old, ops.convert_to_numpy(weight))


@pytest.mark.once
def test_checkpoint_of_another_size_is_refused():
    model, layout = small_model("wat_classifier")
    with pytest.raises(CheckpointMismatchError, match="voxel_to_patch"):
        load_original_checkpoint(model, layout, golden_checkpoint("vit_classifier"))


@pytest.mark.once
def test_missing_checkpoint_says_how_to_name_it():
    with pytest.raises(FileNotFoundError, match=r"without '\.index'"):
        OriginalCheckpoint(FOLDER / "tx_fac" / "ckpt-1")


@pytest.mark.once
def test_truncated_checkpoint_is_refused(tmp_path):
    source = FOLDER / "wat_classifier"
    for path in source.glob("ckpt-100000.*"):
        content = path.read_bytes()
        if path.suffix == ".index":
            content = content[: len(content) // 2]
        (tmp_path / path.name).write_bytes(content)
    with pytest.raises(ValueError, match="can't be read"):
        OriginalCheckpoint(tmp_path / "ckpt-100000")


@pytest.mark.once
@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "'arch'"),
        ({"arch": "ut_fac"}, "backbones"),
        ({"kind": "resnet"}, "'kind'"),
    ],
)
def test_foreign_configurations_are_refused(config, message):
    with pytest.raises(ValueError, match=message):
        model_from_original_config(config)


@pytest.mark.once
def test_tensor_names_do_not_depend_on_model_names():
    first, _ = small_model("ut_fac")
    second, _ = model_from_original_config(golden_config("ut_fac"), name="other")
    assert list(named_variables(first)) == list(named_variables(second))
    assert "backbone/encoder/block_0/attention/query/kernel" in named_variables(first)
