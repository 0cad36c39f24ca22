"""LoRA adapts every backbone, and its saved forms have the same outputs."""

import keras
import numpy as np
import pytest

import keras_vatt
from keras_vatt.storage import named_variables
from tests.models.adapted import (
    KINDS,
    assert_same_outputs,
    model_of,
    one_step_of_sgd,
    outputs_of,
)
from tests.models.tiny import NO_RANDOMNESS, tiny_backbone


def adapted(kind, **overrides):
    """Returns a model with trained LoRA, which changes the outputs."""
    model = model_of(kind, **overrides)
    model.backbone.enable_lora(2)
    for _ in range(2):
        one_step_of_sgd(model)
    return model


def arrays_of(model):
    # Copies: on PyTorch the arrays would change with the variables.
    variables = named_variables(model).items()
    return {n: np.array(keras.ops.convert_to_numpy(v)) for n, v in variables}


@pytest.mark.parametrize("kind", KINDS)
def test_enabling_changes_no_output_and_leaves_only_lora_and_head_to_train(kind):
    model = model_of(kind)
    expected = outputs_of(model)
    kernels = arrays_of(model)
    head = {id(v) for v in model.trainable_variables}
    head -= {id(v) for v in model.backbone.variables}
    model.backbone.enable_lora(2)
    # The kernels are the same bit for bit; products may be computed in another order.
    assert_same_outputs(model, expected, rtol=1e-5, atol=1e-6)
    for layer in model.backbone._flatten_layers():
        if getattr(layer, "lora_enabled", False):
            name = "backbone/" + layer._kernel.path.split("/", 1)[1]
            kernel = keras.ops.convert_to_numpy(layer.kernel)
            np.testing.assert_array_equal(kernel, kernels.pop(name))
    trained = model.trainable_variables
    names = {v.path.split("/")[-1] for v in trained if id(v) not in head}
    assert names == {"lora_kernel_a", "lora_kernel_b"}
    assert head <= {id(v) for v in trained}
    encoders = 3 if kind == "specific VATT" else 1
    assert len(model.backbone.trainable_variables) == 4 * encoders


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_changes_lora_and_head_alone(kind):
    model = model_of(kind, **NO_RANDOMNESS)
    model.backbone.enable_lora(2)
    before = arrays_of(model)
    expected = outputs_of(model)
    one_step_of_sgd(model)
    changed = {
        name
        for name, array in arrays_of(model).items()
        if np.any(before[name] != array)
    }
    # The other matrix starts with no gradient, as its product with this one is zero.
    assert any("lora_kernel_b" in name for name in changed)
    assert all("lora_kernel" in n or n.startswith("classifier/") for n in changed)
    differences = [
        np.abs(a - b).max() for a, b in zip(expected, outputs_of(model), strict=True)
    ]
    assert min(differences) > 0


@pytest.mark.parametrize("form", ["agnostic", "specific"])
def test_lora_weights_alone_turn_the_same_backbone_into_the_adapted_one(form, tmp_path):
    model = model_of(f"{form} A")
    initial = model.backbone.get_weights()
    model.backbone.enable_lora(2)
    one_step_of_sgd(model)
    one_step_of_sgd(model)
    model.backbone.save_lora_weights(tmp_path / "mine.lora.h5")
    again = tiny_backbone(form, modalities=("audio",))
    again.set_weights(initial)
    again.load_lora_weights(tmp_path / "mine.lora.h5")
    sounds = {"audio": np.random.default_rng(0).uniform(-1, 1, (2, 96, 1))}
    expected, actual = (
        keras.ops.convert_to_numpy(b(sounds)["audio"]["features_pooled"])
        for b in (model.backbone, again)
    )
    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("kind", KINDS)
def test_a_preset_has_lora_in_its_kernels_and_says_the_same(kind, tmp_path):
    model = adapted(kind)
    model.save_to_preset(tmp_path / "adapted")
    again = type(model).from_preset(tmp_path / "adapted")
    assert not any("lora" in name for name in named_variables(again))
    assert_same_outputs(again, outputs_of(model), rtol=1e-4, atol=1e-5)
    # The model itself still has LoRA.
    assert any("lora" in name for name in named_variables(model))


@pytest.mark.parametrize("kind", ["agnostic A", "specific V"])
def test_a_keras_file_has_lora_in_its_kernels_and_says_the_same(kind, tmp_path):
    model = adapted(kind)
    model.save(tmp_path / "adapted.keras")
    again = keras.saving.load_model(tmp_path / "adapted.keras")
    assert_same_outputs(again, outputs_of(model), rtol=1e-4, atol=1e-5)


def test_kernels_are_merged_in_full_precision(tmp_path):
    model = adapted("agnostic A", dtype="mixed_bfloat16")
    model.save_to_preset(tmp_path / "adapted")
    again = keras_vatt.VATTAudioClassifier.from_preset(tmp_path / "adapted")
    layers = [m.backbone.encoder.blocks[0].attention.query for m in (model, again)]
    old, new = layers
    kernel, a, b = (
        keras.ops.convert_to_numpy(v.value).astype("float64")
        for v in (old._kernel, old.lora_kernel_a, old.lora_kernel_b)
    )
    assert np.abs(b).max() > 0
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(new.kernel.value),
        kernel + a @ b,
        rtol=1e-5,
        atol=1e-8,  # The rounding of a sum of 0.1 that comes to nearly zero.
    )


def test_other_layers_can_be_targeted():
    backbone = tiny_backbone()
    backbone.enable_lora(2, ["output", "inner", "outer"])
    assert len(backbone.trainable_variables) == 6


def test_rematerialized_blocks_train_lora():
    model = model_of("agnostic A", rematerialize=True, **NO_RANDOMNESS)
    plain = model_of("agnostic A", **NO_RANDOMNESS)
    plain.set_weights(model.get_weights())
    for one in (model, plain):
        one.backbone.enable_lora(2)
    query = [m.backbone.encoder.blocks[0].attention.query for m in (model, plain)]
    value = [m.backbone.encoder.blocks[0].attention.value for m in (model, plain)]
    for one, other in (query, value):
        # A copy: on JAX a step donates the buffer, which both would use.
        other.lora_kernel_a.assign(one.lora_kernel_a.numpy().copy())
    losses = [[float(one_step_of_sgd(m)) for _ in range(3)] for m in (model, plain)]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rank": 0}, "rank"),
        ({"rank": 2, "target_layer_names": ["querry"]}, "querry"),
        ({"rank": 2, "target_layer_names": ["query", "patch_embedding"]}, "Dense"),
    ],
)
def test_what_can_not_be_adapted_is_refused_before_anything_is_frozen(
    arguments, message
):
    backbone = tiny_backbone()
    trainable = len(backbone.trainable_variables)
    with pytest.raises(ValueError, match=message):
        backbone.enable_lora(**arguments)
    assert len(backbone.trainable_variables) == trainable


def test_lora_on_lora_is_refused():
    backbone = tiny_backbone()
    backbone.enable_lora(2)
    with pytest.raises(ValueError, match="already"):
        backbone.enable_lora(2)
