"""Losses and gradient cosines of an audit equal plain float64 formulas."""

import keras
import numpy as np
import pytest

import keras_vatt
from keras_vatt.auditing import AuditError, AuditSettings
from keras_vatt.auditing._features import ClipFeatures
from keras_vatt.auditing._ranking import measure_clips
from keras_vatt.auditing._rounds import batches_of, run_rounds
from keras_vatt.data import Segment
from tests.auditing import _plain_contrasts as plain
from tests.models.tiny import tiny_vatt

NUM_CLIPS = 10


def settings_with(**changes):
    changes = {"rounds": 2, "negatives": 3, "progress": False} | changes
    return AuditSettings("preset", "data", "output", **changes)


def trained_vatt(bridge_head=None, **options):
    """Weights, biases and statistics that are not those of an untrained model."""
    keras.utils.set_random_seed(0)
    model = tiny_vatt("flat", bridge_head, **options)
    random = np.random.default_rng(0)
    for weight in model.bridge_head.weights:
        noise = random.normal(0, 0.3, weight.shape)
        is_variance = "variance" in weight.path
        weight.assign(np.abs(noise) + 0.5 if is_variance else weight + noise)
    model.compile("sgd")
    return model


def features_and_presence(model, without_audio=(3,), without_text=(7, 8)):
    random = np.random.default_rng(1)
    features = {
        m: random.normal(size=(NUM_CLIPS, dim)).astype(np.float32)
        for m, dim in model.backbone.feature_dims.items()
    }
    present = {m: np.ones(NUM_CLIPS, bool) for m in ("audio", "text")}
    present["audio"][list(without_audio)] = False
    present["text"][list(without_text)] = False
    return features, present


def clips_of(model, features, present):
    outputs = {}
    for modality, rows in features.items():
        embeddings = model.bridge_head({modality: rows}, training=False)[modality]
        outputs[modality] = {"features_pooled": rows} | {
            name: keras.ops.convert_to_numpy(x) for name, x in embeddings.items()
        }
    segments = [Segment(f"{n}.mp4") for n in range(NUM_CLIPS)]
    return ClipFeatures(list(range(NUM_CLIPS)), segments, outputs, present)


def test_losses_and_cosines_equal_plain_formulas_in_float64():
    model = trained_vatt()
    features, present = features_and_presence(model)
    found = run_rounds(model, clips_of(model, features, present), settings_with(seed=5))
    in_float64 = {m: rows.astype(np.float64) for m, rows in features.items()}
    expected = plain.contrasts(model.bridge_head, in_float64, present, 5, 2, 3)
    for modality in ("audio", "text"):
        np.testing.assert_allclose(
            found.losses[modality], expected[modality], rtol=2e-5
        )
    np.testing.assert_allclose(found.gradient_cosine, expected["cosine"], atol=2e-4)
    assert np.isnan(found.gradient_cosine).tolist() == [
        n in (3, 7, 8) for n in range(NUM_CLIPS)
    ]
    assert found.num_negatives == {"audio": 3, "text": 3}


@pytest.mark.once
def test_similarities_equal_plain_formulas_and_the_summary_is_the_worse():
    model = trained_vatt()
    features, present = features_and_presence(model, (3, 4), (4, 7))
    clips = clips_of(model, features, present)
    measures = measure_clips(clips, run_rounds(model, clips, settings_with()))
    in_float64 = {m: rows.astype(np.float64) for m, rows in features.items()}
    video = plain.video_embeddings(model.bridge_head, in_float64["video"])
    for m in ("audio", "text"):
        other = plain.other_embeddings(model.bridge_head, m, in_float64[m])
        expected = np.diagonal(plain.cosines(video[m], other))
        found = measures[f"video_{m}_similarity"]
        np.testing.assert_allclose(found[present[m]], expected[present[m]], atol=1e-5)
        assert np.isnan(found[~present[m]]).all()
    pairs = [
        [measures[f"video_{m}_{kind}"] for m in ("audio", "text")]
        for kind in ("similarity", "loss")
    ]
    for n in set(range(NUM_CLIPS)) - {4}:
        similarities, losses = (
            [values[n] for values in pair if not np.isnan(values[n])] for pair in pairs
        )
        assert measures["similarity"][n] == min(similarities)
        assert measures["loss"][n] == pytest.approx(np.mean(losses))
    assert all(np.isnan(values[4]) for values in measures.values())


@pytest.mark.once
def test_the_measures_of_a_clip_do_not_depend_on_batch_statistics():
    model = trained_vatt()
    features, present = features_and_presence(model)
    clips = clips_of(model, features, present)
    before = [keras.ops.convert_to_numpy(weight) for weight in model.weights]
    alone = run_rounds(model, clips, settings_with(negatives=99, rounds=1))
    again = run_rounds(model, clips, settings_with(negatives=99, rounds=1, seed=9))
    # With all other clips as negatives, any partition is the same.
    for m in ("audio", "text"):
        np.testing.assert_allclose(alone.losses[m], again.losses[m], rtol=1e-5)
    for weight, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(weight), value)


def test_mixed_precision_changes_the_measures_by_its_rounding_alone():
    model, mixed = trained_vatt(), trained_vatt(dtype="mixed_bfloat16")
    settings = settings_with(negatives=9, rounds=1)
    found = [
        run_rounds(m, clips_of(m, *features_and_presence(m)), settings)
        for m in (model, mixed)
    ]
    for m in ("audio", "text"):
        losses = [contrasts.losses[m] for contrasts in found]
        np.testing.assert_allclose(*losses, atol=0.3)
    first, second = (contrasts.gradient_cosine for contrasts in found)
    # Rounding may flip a ReLU of this small head, which changes a gradient by more.
    assert np.nanmedian(np.abs(first - second)) < 0.05
    assert (np.isnan(first) == np.isnan(second)).all()


@pytest.mark.once
def test_seeds_determine_the_rounds():
    model = trained_vatt()
    clips = clips_of(model, *features_and_presence(model))
    first, same, other = (
        run_rounds(model, clips, settings_with(seed=seed)).losses["audio"]
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, same)
    assert not np.allclose(first, other, equal_nan=True)


@pytest.mark.once
def test_a_joint_bridge_head_is_contrasted_in_its_one_space():
    model = trained_vatt(keras_vatt.layers.JointBridgeHead(12, name="bridge_head"))
    clips = clips_of(model, *features_and_presence(model))
    contrasts = run_rounds(model, clips, settings_with())
    assert set(contrasts.losses) == {"audio", "text"}
    known = ~np.isnan(contrasts.gradient_cosine)
    assert known.sum() == NUM_CLIPS - 3
    assert np.abs(contrasts.gradient_cosine[known]).max() <= 1


@pytest.mark.once
def test_a_loss_that_is_not_finite_is_named():
    model = trained_vatt()
    features, present = features_and_presence(model)
    features["video"][5] = np.nan
    clips = clips_of(model, features, present)
    with pytest.raises(AuditError, match="video and audio, or its gradient, is not"):
        run_rounds(model, clips, settings_with())


@pytest.mark.once
def test_a_modality_of_one_clip_has_no_loss():
    model = trained_vatt()
    features, present = features_and_presence(model, range(1, NUM_CLIPS), ())
    clips = clips_of(model, features, present)
    contrasts = run_rounds(model, clips, settings_with())
    assert set(contrasts.losses) == {"text"}
    measures = measure_clips(clips, contrasts)
    assert np.isnan(measures["video_audio_loss"]).all()
    assert not np.isnan(measures["video_audio_similarity"][0])
    assert np.isnan(measures["gradient_cosine"]).all()


@pytest.mark.once
@pytest.mark.parametrize(("num_clips", "size"), [(10, 4), (8, 4), (4, 4), (5, 4)])
def test_batches_have_one_size_and_each_clip_counts_once(num_clips, size):
    order = np.random.default_rng(0).permutation(num_clips)
    batches = batches_of(order, size)
    assert all(len(set(batch.tolist())) == size for batch, _ in batches)
    counted = np.concatenate([batch[:count] for batch, count in batches])
    assert counted.tolist() == order.tolist()
