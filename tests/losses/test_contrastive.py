"""The losses against the original's numbers and a float64 NumPy formula."""

import keras
import numpy as np
import pytest
from scipy.special import logsumexp

from keras_vatt import losses
from tests.golden_files import golden_arrays

CASES = [
    f"{form}/candidates{candidates}/mask_{mask}"
    for form in ("asymmetric", "symmetric")
    for candidates in (1, 5)
    for mask in ("none", "text", "both", "all_text_missing")
]
CLASSES = {
    "asymmetric": losses.AsymmetricNCE,
    "symmetric": losses.SymmetricNCE,
}


def golden_case(name):
    prefix = name + "/"
    return {
        key.removeprefix(prefix): value
        for key, value in golden_arrays("losses.npz").items()
        if key.startswith(prefix)
    }


@pytest.mark.parametrize("name", CASES)
def test_losses_equal_the_original(name):
    case = golden_case(name)
    loss = CLASSES[name.split("/")[0]](temperature=0.07)
    video_audio = loss(
        case["in.video_to_audio"],
        case["in.audio_to_video"],
        mask=case.get("in.audio_mask"),
    )
    video_text = loss(
        case["in.video_to_text"], case["in.text_to_video"], case.get("in.text_mask")
    )
    assert abs(float(video_audio) - case["video_audio_loss"]) < 1e-5
    assert abs(float(video_text) - case["video_text_loss"]) < 1e-5


@pytest.mark.parametrize("name", CASES)
def test_loss_gradients_equal_the_original(name, gradients):
    case = golden_case(name)
    loss = CLASSES[name.split("/")[0]](temperature=0.07)
    names = ["video_to_audio", "audio_to_video", "video_to_text", "text_to_video"]

    def total(video_to_audio, audio_to_video, video_to_text, text_to_video):
        video_audio = loss(video_to_audio, audio_to_video, case.get("in.audio_mask"))
        video_text = loss(video_to_text, text_to_video, case.get("in.text_mask"))
        return (video_audio + video_text) / 2

    computed = gradients(total, [case[f"in.{name}"] for name in names])
    for name, gradient in zip(names, computed, strict=True):
        np.testing.assert_allclose(gradient, case[f"grad.{name}"], rtol=1e-3, atol=1e-6)


def asymmetric_in_float64(video, other, temperature):
    video = video / np.linalg.norm(video, axis=-1, keepdims=True)
    other = other / np.linalg.norm(other, axis=-1, keepdims=True)
    similarities = (
        np.einsum("id,jd->ij", video, other).reshape(len(video), len(video), -1)
        / temperature
    )
    per_clip = []
    for i in range(len(video)):
        denominator = np.concatenate(
            [similarities[i].ravel(), similarities[:, i].ravel()]
        )
        per_clip.append(logsumexp(denominator) - logsumexp(similarities[i, i]))
    return np.array(per_clip)


def test_per_clip_losses_equal_a_float64_formula():
    random = np.random.default_rng(0)
    video, other = random.normal(size=(5, 7)), random.normal(size=(15, 7))
    per_clip = losses.AsymmetricNCE(temperature=0.2).per_clip(video, other)
    expected = asymmetric_in_float64(video, other, 0.2)
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(per_clip), expected, rtol=1e-5
    )


@pytest.mark.parametrize("loss_class", CLASSES.values())
def test_loss_is_float32_for_half_precision_embeddings(loss_class):
    random = np.random.default_rng(0)
    video = keras.ops.cast(random.normal(size=(4, 8)), "bfloat16")
    other = keras.ops.cast(random.normal(size=(4, 8)), "bfloat16")
    loss = loss_class()
    value = loss(video, other)
    assert keras.backend.standardize_dtype(value.dtype) == "float32"
    # Rounding happened on the way in only: same as float32 of the same values.
    exact = loss(keras.ops.cast(video, "float32"), keras.ops.cast(other, "float32"))
    assert float(value) == float(exact)


@pytest.mark.parametrize("loss_class", CLASSES.values())
def test_no_valid_clip_gives_zero(loss_class):
    video = np.random.default_rng(0).normal(size=(3, 4))
    assert float(loss_class()(video, video, mask=np.zeros(3))) == 0.0


@pytest.mark.parametrize("loss_class", CLASSES.values())
def test_masked_clip_is_neither_anchor_nor_negative(loss_class):
    random = np.random.default_rng(0)
    video, other = random.normal(size=(4, 6)), random.normal(size=(4, 6))
    mask = np.array([1, 1, 0, 1])
    changed = other.copy()
    changed[2] = random.normal(size=6)
    loss = loss_class()
    assert float(loss(video, other, mask)) == pytest.approx(
        float(loss(video, changed, mask)), abs=1e-6
    )


@pytest.mark.parametrize("loss_class", CLASSES.values())
def test_loss_round_trips(loss_class):
    loss = loss_class(temperature=0.3, skip_fraction=0.2, name="mine")
    config = keras.saving.serialize_keras_object(loss)
    restored = keras.saving.deserialize_keras_object(config)
    assert type(restored) is loss_class
    assert restored.get_config() == loss.get_config()


def test_temperature_must_be_positive():
    with pytest.raises(ValueError, match="temperature"):
        losses.AsymmetricNCE(temperature=0)


@pytest.mark.parametrize("loss", [losses.AsymmetricNCE(0.2), losses.SymmetricNCE(0.2)])
def test_a_masked_candidate_is_as_if_it_were_not_there(loss):
    random = np.random.default_rng(0)
    video, text = random.normal(size=(4, 6)), random.normal(size=(4, 3, 6))
    mask = np.ones((4, 3))
    mask[:, 1] = 0
    actual = loss(video, text.reshape(-1, 6), mask)
    expected = loss(video, text[:, [0, 2]].reshape(-1, 6))
    assert float(actual) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("loss", [losses.AsymmetricNCE(0.2), losses.SymmetricNCE(0.2)])
def test_a_clip_without_a_valid_candidate_is_not_valid(loss):
    random = np.random.default_rng(1)
    video, text = random.normal(size=(4, 6)), random.normal(size=(8, 6))
    of_clips = np.array([1.0, 0.0, 1.0, 1.0])
    of_candidates = np.repeat(of_clips[:, None], 2, axis=1)
    per_clip = [
        keras.ops.convert_to_numpy(loss.per_clip(video, text, mask))
        for mask in (of_clips, of_candidates)
    ]
    np.testing.assert_allclose(per_clip[0], per_clip[1], rtol=1e-6)
    assert per_clip[1][1] == 0


def test_partial_candidates_equal_a_float64_formula():
    random = np.random.default_rng(2)
    video, text = random.normal(size=(3, 5)), random.normal(size=(6, 5))
    mask = np.array([[1, 1], [0, 1], [0, 0]], "float64")
    video /= np.linalg.norm(video, axis=1, keepdims=True)
    text /= np.linalg.norm(text, axis=1, keepdims=True)
    logits = (video @ text.T).reshape(3, 3, 2) / 0.2
    logits = np.where(mask[None], logits, -np.inf)  # (video, clip, candidate)
    terms = []
    for clip in (0, 1):
        pooled = [*logits[clip].ravel(), *logits[:, clip].ravel()]
        terms.append(logsumexp(pooled) - logsumexp(logits[clip, clip]))
    actual = losses.AsymmetricNCE(0.2)(video, text, mask)
    assert float(actual) == pytest.approx(np.mean(terms), rel=1e-5)


def test_a_loss_that_is_not_finite_is_not_hidden():
    video = np.eye(4)
    video[2, 0] = np.nan
    assert np.isnan(float(losses.AsymmetricNCE()(video, np.eye(4), np.ones(4))))


@pytest.mark.parametrize("shape", [(3,), (4, 3), (4, 2, 1), ()])
def test_masks_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match="`mask` must have the shape"):
        losses.AsymmetricNCE()(np.eye(4), np.eye(8)[:, :4], np.ones(shape))


@pytest.mark.parametrize("temperature", [0.0, -1.0, np.nan, np.inf])
def test_temperatures_that_are_not_positive_numbers_are_refused(temperature):
    for loss in CLASSES.values():
        with pytest.raises(ValueError, match="`temperature` must be positive"):
            loss(temperature=temperature)


@pytest.mark.parametrize("loss_class", CLASSES.values())
def test_skipped_clips_are_masked_as_if_they_were_not_valid(loss_class):
    random = np.random.default_rng(0)
    video, other = random.normal(size=(2, 8, 6))
    mask = np.ones(8)
    mask[5] = 0
    terms = keras.ops.convert_to_numpy(loss_class().per_clip(video, other, mask))
    kept = mask.copy()
    # Round((1 - 0.3) * 7) = 5 of the 7 valid clips are kept.
    kept[terms.argsort()[-2:]] = 0
    expected = loss_class().per_clip(video, other, kept)
    skipping = loss_class(skip_fraction=0.3).per_clip(video, other, mask)
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(skipping),
        keras.ops.convert_to_numpy(expected),
        rtol=1e-5,
    )


def test_skipping_equals_a_float64_formula():
    random = np.random.default_rng(0)
    video, other = random.normal(size=(2, 6, 4))
    kept = np.sort(asymmetric_in_float64(video, other, 0.2).argsort()[:3])
    unit = [
        rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (video, other)
    ]
    similarities = unit[0] @ unit[1].T / 0.2
    # The video of a skipped clip stays a candidate, as that of a masked one.
    expected = [
        logsumexp([*similarities[i, kept], *similarities[:, i]]) - similarities[i, i]
        for i in kept
    ]
    loss = losses.AsymmetricNCE(temperature=0.2, skip_fraction=0.5)
    assert float(loss(video, other)) == pytest.approx(np.mean(expected), rel=1e-5)


def test_at_least_one_clip_is_never_skipped():
    video, other = np.random.default_rng(0).normal(size=(2, 3, 4))
    loss = losses.AsymmetricNCE(skip_fraction=0.9)
    terms = keras.ops.convert_to_numpy(loss.per_clip(video, other))
    assert np.count_nonzero(terms != 0) <= 1
    assert float(loss(video, other, mask=np.zeros(3))) == 0.0


def test_equal_losses_skip_the_given_number_of_clips():
    video = np.ones((4, 3))
    loss = losses.SymmetricNCE(skip_fraction=0.5)
    # Two clips are left, which are contrasted with two audios and with four videos.
    expected = np.log(2) + np.log(4)
    assert float(loss(video, video)) == pytest.approx(expected, rel=1e-5)


def test_a_loss_that_is_not_finite_is_not_skipped():
    video, other = np.random.default_rng(0).normal(size=(2, 4, 3))
    video[1] = np.nan
    assert np.isnan(float(losses.AsymmetricNCE(skip_fraction=0.5)(video, other)))


@pytest.mark.parametrize("fraction", [-0.1, 1.0, float("nan")])
def test_a_skip_fraction_out_of_range_is_refused(fraction):
    with pytest.raises(ValueError, match="skip_fraction"):
        losses.SymmetricNCE(skip_fraction=fraction)
