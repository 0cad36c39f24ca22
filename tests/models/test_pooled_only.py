"""Pooled features alone: the same numbers and gradients for less work."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_vatt
from tests.models.tiny import NO_RANDOMNESS, SIZES, tiny_backbone, tiny_batch

FORMS = pytest.mark.parametrize("form", ["agnostic", "specific"])
MODALITIES = pytest.mark.parametrize("modality", ["video", "audio", "text"])


def backbone_of(form, *modalities, num_layers=2, **overrides):
    sizes = SIZES | {"num_layers": num_layers}
    if form == "specific":
        sizes = {f"{m}_encoder": sizes for m in ("video", "audio", "text")}
    options = NO_RANDOMNESS | {"modalities": modalities} | overrides
    return tiny_backbone(form, **sizes | options)


def inputs_of(modality):
    """A batch; rows of text have paddings of different lengths."""
    inputs = tiny_batch(batch_size=3)[modality]
    if modality == "text":
        inputs[0, 0, 1:] = 0
        inputs[1, 1, :] = 7
    return inputs


def pooled(backbone, modality, training, pooled_only):
    features = backbone.encode_modality(
        modality, inputs_of(modality), training, pooled_only=pooled_only
    )
    return features["features_pooled"]


@FORMS
@MODALITIES
def test_pooled_features_alone_are_those_of_the_full_computation(form, modality):
    backbone = backbone_of(form, modality)
    whole = ops.convert_to_numpy(pooled(backbone, modality, False, False))
    alone = ops.convert_to_numpy(pooled(backbone, modality, False, True))
    np.testing.assert_allclose(alone, whole, rtol=1e-6, atol=1e-6)


@FORMS
@MODALITIES
@pytest.mark.parametrize("rematerialize", [False, True])
def test_gradients_of_pooled_features_are_those_of_the_full_computation(
    form, modality, rematerialize, gradients
):
    backbone = backbone_of(form, modality, rematerialize=rematerialize)
    variables = backbone.trainable_variables
    values = [ops.convert_to_numpy(variable) for variable in variables]
    per_feature = np.random.default_rng(0).normal(size=backbone.feature_dims[modality])
    per_feature = ops.convert_to_tensor(per_feature, "float32")

    def gradients_of(pooled_only):
        def loss(*values):
            mapping = list(zip(variables, values, strict=True))
            with keras.StatelessScope(state_mapping=mapping):
                return ops.sum(
                    pooled(backbone, modality, True, pooled_only) * per_feature
                )

        return gradients(loss, values)

    for variable, alone, whole in zip(
        variables, gradients_of(True), gradients_of(False), strict=True
    ):
        tolerance = 1e-6 * max(1, np.abs(whole).max())
        np.testing.assert_allclose(
            alone, whole, rtol=1e-5, atol=tolerance, err_msg=variable.path
        )


@FORMS
def test_pooled_features_alone_in_half_are_close_to_the_full_computation(form):
    backbone = backbone_of(form, "text", dtype="mixed_bfloat16")
    whole, alone = (
        ops.convert_to_numpy(ops.cast(pooled(backbone, "text", True, only), "float32"))
        for only in (False, True)
    )
    np.testing.assert_allclose(alone, whole, rtol=0.05, atol=0.05)


@FORMS
@MODALITIES
def test_pooled_only_returns_the_pooled_features_alone(form, modality):
    backbone = backbone_of(form, modality)
    features = backbone.encode_modality(
        modality, inputs_of(modality), training=True, pooled_only=True
    )
    assert list(features) == ["features_pooled"]
    rows = 6 if modality == "text" else 3
    assert features["features_pooled"].shape == (rows, 16)


@FORMS
@pytest.mark.parametrize("modality", ["video", "audio"])
def test_classifiers_compute_the_pooled_features_alone(form, modality, monkeypatch):
    backbone = backbone_of(form, modality)
    lengths = []
    last = backbone._encoder(modality).final_dropout

    def counted_call(x, training=None, call=last.call):
        lengths.append(x.shape[1])
        return call(x, training=training)

    monkeypatch.setattr(last, "call", counted_call)
    kind = {
        "video": keras_vatt.VATTVideoClassifier,
        "audio": keras_vatt.VATTAudioClassifier,
    }[modality]
    classifier = kind(backbone, num_classes=4)
    assert classifier(inputs_of(modality)).shape == (3, 4)
    assert lengths == [1]


@pytest.mark.skipif(
    keras.config.backend() != "jax", reason="XLA's cost analysis is JAX's"
)
def test_pooled_only_saves_the_last_block_of_all_tokens_but_one():
    import jax

    # So wide that pointwise functions, GELU above all, are 2 % of the work.
    width, num_patches, batch_size = 768, 24, 1
    backbone = backbone_of(
        "agnostic",
        "video",
        hidden_dim=width,
        intermediate_dim=4 * width,
        head_dim=width // 2,
        projection_dim=width,
        video_patch_size=(1, 2, 2),
        video_positions=(num_patches, 1, 1),
    )
    video = np.zeros((batch_size, num_patches, 2, 2, 3), "float32")

    def flops(pooled_only):
        def forward(video):
            features = backbone.encode_modality(
                "video", video, training=True, pooled_only=pooled_only
            )
            return features["features_pooled"]

        return jax.jit(forward).lower(video).cost_analysis()["flops"]

    # Multiplications of a block a token: query, key, value and output, logits and
    # context, the MLP. Keys and values stay.
    num_tokens = 1 + num_patches
    key_value = 2 * width**2
    block = 4 * width**2 + 2 * num_tokens * width + 8 * width**2
    projection = width**2
    saved = 2 * batch_size * num_patches * (block - key_value + projection)
    assert flops(False) - flops(True) == pytest.approx(saved, rel=0.03)


def test_encode_returns_the_features_of_all_tokens_on_request():
    model = keras_vatt.VATT(backbone_of("agnostic", "video", "text"))
    batch = {"text": np.concatenate(inputs_of("text"))}
    whole = model.encode(**batch, all_tokens=True)["text"]
    pooled = model.encode(**batch)["text"]
    assert whole["features"].shape[0] == len(batch["text"])
    assert set(whole) - set(pooled) == {"features"}
    for name, rows in pooled.items():
        np.testing.assert_allclose(rows, whole[name], rtol=1e-5, atol=1e-6)
