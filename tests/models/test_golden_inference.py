"""Inference reproduces the original implementation, inside and out."""

import numpy as np
import pytest
from keras import ops

from keras_vatt.inference._clip_reader import ClipReader
from tests.golden_files import golden_arrays
from tests.models.golden_models import CLASSIFIERS, PRETRAINING, golden_model

TOLERANCE = 1e-4
HEAD = "out.head_stack.bridge."
EMBEDDINGS = {
    ("video", "to_audio"): "video.toaud",
    ("video", "to_text"): "video.totxt",
    ("audio", "to_video"): "audio.tovid",
    ("text", "to_video"): "text.tovid",
}


def assert_close(actual, expected):
    actual = ops.convert_to_numpy(actual)
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=0, atol=TOLERANCE)


@pytest.fixture(params=PRETRAINING)
def golden(request):
    arrays = golden_arrays(f"{request.param}/inference.npz")
    return golden_model(request.param), arrays


def test_outputs_of_all_modalities_together(golden):
    model, arrays = golden
    inputs = {m: arrays[f"in.{m}"] for m in ("video", "audio", "text")}
    outputs = model(inputs, training=False)
    for modality in inputs:
        for name in ("features_pooled", "features"):
            assert_close(outputs[modality][name], arrays[f"out.{modality}.{name}"])
    for (modality, name), key in EMBEDDINGS.items():
        assert_close(outputs[modality][name], arrays[HEAD + key])


@pytest.mark.parametrize("modality", ["video", "audio", "text"])
def test_encode_gives_the_same_for_one_modality_in_small_batches(golden, modality):
    model, arrays = golden
    outputs = model.encode(**{modality: arrays[f"in.{modality}"]}, batch_size=2)
    assert list(outputs) == [modality]
    pooled = arrays[f"out.{modality}.features_pooled"]
    assert isinstance(outputs[modality]["features_pooled"], np.ndarray)
    assert_close(outputs[modality]["features_pooled"], pooled)


def steps_through(backbone, modality, inputs):
    """Yields the name and value of every step that the golden file has."""
    stem = getattr(backbone, f"{modality}_stem")
    inputs = ops.convert_to_tensor(inputs)
    mask, bias, is_t5 = None, None, False
    if modality == "text":
        x = stem.embedding(inputs)
        mask = stem.attention_mask(inputs)
        is_t5 = stem.positions is None
    else:
        x = stem.patch_embedding(inputs)
    yield "raw_embedding", x
    if is_t5:
        x = stem.aggregation_token(x)
        yield "with_agg", x
        x = stem.projection(x)
        yield "pre_proj", x
    else:
        if stem.projection is not None:
            x = stem.projection(x)
            yield "pre_proj", x
        x = stem.positions(x)
        yield "with_position", x
        x = stem.aggregation_token(x)
        yield "tx_input", x
    encoder = backbone._encoder(modality)
    if is_t5:
        bias = encoder.relative_position_bias(x)
        yield "relative_bias", bias
    for index, block in enumerate(encoder.blocks):
        _, weights = block.attention(
            block.attention_norm(x),
            attention_mask=mask,
            attention_bias=bias,
            return_attention_weights=True,
        )
        yield f"attn{index}", weights
        x = block(x, attention_mask=mask, attention_bias=bias)
        yield f"block{index}", x
    x = encoder.final_norm(x)
    yield "final_norm", x
    projection = backbone._projection(modality)
    if not is_t5:
        yield "post_proj", x if projection is None else projection(x)


@pytest.mark.parametrize("modality", ["video", "audio", "text"])
def test_every_intermediate_tensor(golden, modality):
    model, arrays = golden
    prefix = f"mid.{modality}."
    expected = {
        name.removeprefix(prefix): value
        for name, value in arrays.items()
        if name.startswith(prefix)
    }
    expected.pop("relative_buckets", None)
    seen = []
    for name, value in steps_through(
        model.backbone, modality, arrays[f"in.{modality}"]
    ):
        assert_close(value, expected[name])
        seen.append(name)
    assert sorted(seen) == sorted(expected)


def test_candidates_of_a_clip_are_rows_of_text(golden):
    model, arrays = golden
    text = arrays["in.text"]
    as_candidates = text.reshape(3, -1, text.shape[-1])
    outputs = model.encode(text=as_candidates)["text"]
    assert_close(outputs["features_pooled"], arrays["out.text.features_pooled"])


def test_uint8_frames_are_scaled_like_float_frames(golden):
    model, arrays = golden
    frames = np.random.default_rng(0).integers(0, 256, arrays["in.video"].shape)
    frames = frames.astype("uint8")
    scaled = frames.astype("float32") / 127.5 - 1
    from_uint8 = model.encode(video=frames)["video"]["to_text"]
    assert_close(from_uint8, model.encode(video=scaled)["video"]["to_text"])


@pytest.mark.parametrize("folder", CLASSIFIERS)
def test_logits_of_classifiers(folder):
    arrays = golden_arrays(f"{folder}/inference.npz")
    modality = "in.images" if folder.startswith("vit") else "in.audio"
    logits = golden_model(folder)(arrays[modality], training=False)
    assert_close(logits, arrays["out.logits"])


@pytest.mark.parametrize("folder", CLASSIFIERS)
def test_probabilities_of_classifiers(folder):
    arrays = golden_arrays(f"{folder}/inference.npz")
    inputs = arrays["in.images" if folder.startswith("vit") else "in.audio"]
    probabilities = [
        [dict(best)[index] for index in range(7)]
        for best in golden_model(folder).classify(inputs, top_k=7)
    ]
    assert_close(np.array(probabilities), arrays["out.probabilities"])


@pytest.mark.parametrize("folder", CLASSIFIERS)
def test_logits_of_the_windows_of_a_clip_are_averaged(folder):
    """Logits are averaged, not probabilities."""
    arrays = golden_arrays(f"{folder}/inference.npz")
    model = golden_model(folder)
    kind = "video" if folder.startswith("vit") else "audio"
    windows = arrays["in.images" if kind == "video" else "in.audio"]
    model._clip_reader = lambda *_, **__: ClipReader([b"a clip"], lambda _: windows)
    try:
        logits = model.predict(b"a clip", num_windows=3, verbose=0)
    finally:
        del model._clip_reader
    assert_close(logits, arrays["out.logits_mean_over_batch_as_windows"])
