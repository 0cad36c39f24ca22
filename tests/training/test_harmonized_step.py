"""The harmonized step against explicit gradients and the paper's formulas."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_vatt
from keras_vatt import harmonization as h
from tests.models.tiny import NO_RANDOMNESS, tiny_batch, tiny_vatt
from tests.training.steps import (
    flat,
    group_gradients,
    loss_gradients,
    model_with,
    sample_group_gradients,
    train,
    update_of,
    values_of,
)
from tests.training.toy import ToyModel


def sgd():
    return keras.optimizers.SGD(1.0)


def realigned(first, second):
    """Algorithm 1 of the gradient harmonization paper, on explicit vectors."""
    dot = first @ second
    if dot >= 0:
        return first + second
    return (first - dot / (second @ second) * second) + (
        second - dot / (first @ first) * first
    )


def assert_same_update(actual, expected, tolerance=5e-4):
    # Weights are float32, and to a model with its first weights all clips are nearly
    # the same: batch norm divides rounding errors by next to nothing.
    distance = np.linalg.norm(actual - expected) / np.linalg.norm(expected)
    assert distance < tolerance


@pytest.fixture(scope="module")
def batches():
    """Of the model with seed 0: a batch with a conflict and one without."""
    model, found = model_with(sgd()), {}
    for seed in range(30):
        batch = tiny_batch(seed=seed)
        first, second = loss_gradients(model, batch)
        found.setdefault(bool(first @ second < 0), batch)
        if len(found) == 2:
            return found
    raise AssertionError("No batch with a conflict, or none without.")


@pytest.mark.parametrize("conflict", [True, False])
def test_realigned_update_is_algorithm_1(batches, conflict):
    batch = batches[conflict]
    model = model_with(sgd(), harmonizer="realign")
    expected = realigned(*loss_gradients(model, batch))
    assert_same_update(update_of(model, batch), expected)


def test_logs_are_those_of_the_gradients(batches):
    batch = batches[True]
    model = model_with(sgd(), harmonizer=h.Sum())
    first, second = loss_gradients(model, batch)
    logs = train(model, batch)
    norms = np.linalg.norm(first), np.linalg.norm(second)
    assert logs["gradient_cosine"] == pytest.approx(
        first @ second / np.prod(norms), abs=1e-4
    )
    assert logs["video_audio_gradient_norm"] == pytest.approx(norms[0], rel=1e-4)
    assert logs["video_text_gradient_norm"] == pytest.approx(norms[1], rel=1e-4)
    assert logs["conflict_rate"] == 1
    assert logs["skip_rate"] == logs["nonfinite_rate"] == 0
    mean = (logs["video_audio_loss"] + logs["video_text_loss"]) / 2
    assert logs["loss"] == pytest.approx(mean, rel=1e-6)


@pytest.mark.parametrize(
    ("form", "harmonizer"),
    [
        ("agnostic", None),
        ("specific", "sum"),
        pytest.param("agnostic", "sum", marks=pytest.mark.once),
        pytest.param("specific", None, marks=pytest.mark.once),
    ],
)
def test_plain_and_summed_updates_are_the_gradient_of_the_total(form, harmonizer):
    batch = tiny_batch() | {
        "audio_mask": np.array([1, 1, 0, 1, 1, 1, 0, 1], "float32"),
        "text_mask": np.array([1, 0, 1, 1, 1, 1, 1, 1], "float32"),
    }
    model = model_with(sgd(), form=form, harmonizer=harmonizer)
    expected = sum(loss_gradients(model, batch))
    assert_same_update(update_of(model, batch), expected)


@pytest.mark.once
def test_total_is_weighted_by_loss_weights():
    batch = tiny_batch()
    weights = {"video_audio": 3.0, "video_text": 1.0}
    model = model_with(sgd(), loss_weights=weights)
    logs = train(model, batch)
    expected = 0.75 * logs["video_audio_loss"] + 0.25 * logs["video_text_loss"]
    assert logs["loss"] == pytest.approx(expected, rel=1e-6)


def test_three_losses_in_a_joint_space_give_the_update_of_pcgrad():
    batch = tiny_batch()
    keras.utils.set_random_seed(0)
    model = tiny_vatt(
        "flat", bridge_head=keras_vatt.layers.JointBridgeHead(8), **NO_RANDOMNESS
    )
    weights = {"video_audio": 1.0, "video_text": 1.0, "audio_text": 1.0}
    model.compile(optimizer=sgd(), harmonizer=h.PCGrad(), loss_weights=weights)
    gradients = np.stack(loss_gradients(model, batch))
    gram = (gradients @ gradients.T).astype("float32")
    coefficients, _ = h.PCGrad()(ops.convert_to_tensor(gram), 0)
    expected = ops.convert_to_numpy(coefficients) @ gradients
    assert_same_update(update_of(model, batch), expected)


def test_whole_batch_without_audio_trains_on_text_alone():
    batch = tiny_batch() | {"audio_mask": np.zeros(8, "float32")}
    model = model_with(sgd(), harmonizer="realign")
    audio, text = loss_gradients(model, batch)
    assert not audio.any()
    assert_same_update(update_of(model, batch), text)


def test_frozen_weights_take_no_part():
    batch = tiny_batch()
    model = model_with(sgd(), form="agnostic")
    model.backbone.encoder.trainable = False
    model.compile(optimizer=sgd(), harmonizer="realign")
    frozen = values_of(model.backbone.encoder.weights)
    expected = realigned(*loss_gradients(model, batch))
    assert_same_update(update_of(model, batch), expected)
    for before, weight in zip(frozen, model.backbone.encoder.weights, strict=True):
        np.testing.assert_array_equal(before, ops.convert_to_numpy(weight))


def test_trained_word_vectors_get_the_gradient_of_repeated_words():
    batch = tiny_batch()
    batch["text"][:, :, :3] = 7
    keras.utils.set_random_seed(0)
    model = tiny_vatt(trainable_word_embedding=True, **NO_RANDOMNESS)
    model.compile(optimizer=sgd(), harmonizer="realign")
    expected = realigned(*loss_gradients(model, batch))
    assert_same_update(update_of(model, batch), expected)


def cosine_of(first, second):
    return first @ second / np.linalg.norm(first) / np.linalg.norm(second)


def realignment_weights(first, second):
    conflict = min(first @ second, 0)
    return 1 - conflict / (first @ first), 1 - conflict / (second @ second)


@pytest.mark.parametrize("num_groups", [2, pytest.param(8, marks=pytest.mark.once)])
@pytest.mark.parametrize("group_by", ["samples", "anchors"])
def test_groups_equal_an_explicit_loop(group_by, num_groups):
    batch = tiny_batch()
    model = model_with(sgd(), form="agnostic")
    gradients_of = sample_group_gradients if group_by == "samples" else group_gradients
    members = np.arange(8) // (8 // num_groups)
    masks = [members == group for group in range(num_groups)]
    groups = gradients_of(model, batch, masks)
    cosines = np.array([cosine_of(*gradients) for gradients in groups])
    # A threshold between the cosines: some groups apply, some are skipped.
    threshold = float(np.mean(sorted(cosines)[num_groups // 2 - 1 :][:2]))
    kept = cosines > threshold
    weights = [
        realignment_weights(*gradients) if is_kept else (1, 1)
        for gradients, is_kept in zip(groups, kept, strict=True)
    ]
    if group_by == "samples":
        # Clips of skipped groups have no terms; their videos are still negatives.
        mask = np.repeat(kept, 8 // num_groups).astype("float32")
        masked = batch | {"audio_mask": mask, "text_mask": mask}
        groups = gradients_of(model, masked, masks)
    else:
        weights = [
            pair * is_kept
            for pair, is_kept in zip(np.array(weights), kept, strict=False)
        ]
    expected = sum(
        first * first_weight + second * second_weight
        for (first, second), (first_weight, second_weight) in zip(
            groups, weights, strict=True
        )
    )
    harmonizer = h.Chain([h.Curriculum(threshold), h.Realignment()])
    model.compile(
        sgd(), harmonizer=harmonizer, num_groups=num_groups, group_by=group_by
    )
    assert_same_update(update_of(model, batch), expected)


def test_groups_per_clip_are_as_many_as_the_clips():
    batch = tiny_batch()
    arguments = {"harmonizer": "curriculum+realign"}
    updates = [
        update_of(model_with(sgd(), num_groups=n, **arguments), batch)
        for n in (8, "per_clip")
    ]
    np.testing.assert_array_equal(*updates)


def test_shared_variables_alone_are_compared():
    batch = tiny_batch()
    model = model_with(sgd(), form="agnostic")
    first, second = loss_gradients(model, batch)
    shared = flat(
        [
            np.full(v.shape, bool(a.any() and b.any()))
            for v, a, b in zip(
                model.trainable_variables,
                split_by_variable(model, first),
                split_by_variable(model, second),
                strict=True,
            )
        ]
    )
    weights = realignment_weights(first * shared, second * shared)
    model.compile(sgd(), harmonizer="realign", harmonized_variables="shared")
    update = update_of(model, batch)
    assert_same_update(update, weights[0] * first + weights[1] * second)
    logs = train(
        model_with(harmonizer="sum", harmonized_variables="shared", form="agnostic"),
        batch,
    )
    expected = cosine_of(first * shared, second * shared)
    assert logs["gradient_cosine"] == pytest.approx(expected, abs=1e-4)


def split_by_variable(model, vector):
    sizes = [int(np.prod(v.shape)) for v in model.trainable_variables]
    return np.split(vector, np.cumsum(sizes)[:-1])


def test_losses_without_a_shared_variable_are_refused():
    batch = {name: np.full((4, 3), 2.0, "float32") for name in ToyModel.names}
    model = ToyModel()
    arguments = {"harmonizer": "sum", "harmonized_variables": "shared"}
    model.compile(sgd(), run_eagerly=True, **arguments)
    with pytest.raises(ValueError, match="no variable that all losses depend on"):
        train(model, batch)


@pytest.mark.parametrize(
    "group_by", ["samples", pytest.param("anchors", marks=pytest.mark.once)]
)
def test_summed_groups_equal_the_plain_step(group_by):
    batch = tiny_batch()
    model = model_with(sgd(), harmonizer="sum", num_groups=4, group_by=group_by)
    grouped = update_of(model, batch)
    assert_same_update(grouped, update_of(model_with(sgd()), batch), tolerance=2e-4)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        pytest.param({"harmonizer": "realign"}, marks=pytest.mark.once),
        {"form": "agnostic", "harmonizer": "realign", "num_groups": 4},
        {"harmonizer": "realign", "num_groups": 2, "group_by": "anchors"},
    ],
    ids=lambda arguments: "-".join(map(str, arguments.values())) or "plain",
)
@pytest.mark.parametrize(
    "num_micro_batches", [2, pytest.param(8, marks=pytest.mark.once)]
)
def test_micro_batches_give_the_step_of_the_whole_batch(arguments, num_micro_batches):
    batch = tiny_batch() | {"text_mask": np.array([1, 0, 1, 1, 1, 1, 1, 1], "float32")}
    whole = model_with(sgd(), **arguments)
    parts = model_with(sgd(), num_micro_batches=num_micro_batches, **arguments)
    updates = [update_of(model, batch) for model in (whole, parts)]
    assert_same_update(updates[1], updates[0], tolerance=5e-4)
    for first, second in zip(
        values_of(whole.non_trainable_variables),
        values_of(parts.non_trainable_variables),
        strict=True,
    ):
        np.testing.assert_allclose(second, first, rtol=1e-4, atol=1e-6)


def test_seeds_advance_once_a_step_whatever_the_number_of_micro_batches():
    seeds = []
    for num_micro_batches in (1, 4):
        model = model_with(model_args={}, num_micro_batches=num_micro_batches)
        train(model, tiny_batch(), tiny_batch())
        state = values_of(model.non_trainable_variables)
        seeds.append([value for value in state if value.shape == (2,)])
    assert len(seeds[0]) > 0
    np.testing.assert_array_equal(*seeds)


def test_micro_batches_that_do_not_divide_the_batch_are_refused():
    model = model_with(num_micro_batches=3)
    with pytest.raises(ValueError, match="num_micro_batches"):
        train(model, tiny_batch())


def test_batch_that_groups_do_not_divide_is_refused():
    model = model_with(harmonizer="realign", num_groups=3)
    with pytest.raises(ValueError, match="multiple of `num_groups`"):
        train(model, tiny_batch())


def test_batch_without_a_needed_modality_is_refused():
    model = model_with(harmonizer="realign")
    batch = tiny_batch()
    del batch["text"]
    with pytest.raises(ValueError, match="no 'text'"):
        train(model, batch)


@pytest.mark.once
def test_text_needs_no_place_in_the_batch_if_no_loss_uses_it():
    batch = tiny_batch()
    del batch["text"]
    model = model_with(loss_weights={"video_audio": 1.0})
    assert train(model, batch)["loss"] > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_groups": 0}, "num_groups"),
        ({"num_groups": 2}, "no harmonizer"),
        ({"group_by": "color"}, "group_by"),
        ({"num_micro_batches": 0}, "num_micro_batches"),
        ({"harmonizer": "sum", "loss_weights": {"video_text": 1}}, "two losses"),
        ({"loss_weights": {"video_smell": 1}}, "video_smell"),
        ({"loss_weights": {"video_text": -1}}, "non-negative"),
        ({"loss_weights": {"video_text": 0}}, "positive weight"),
        ({"loss_weights": {"audio_text": 1}}, "JointBridgeHead"),
        ({"harmonizer": "unknown"}, "unknown"),
    ],
)
def test_compile_refuses_what_makes_no_sense(arguments, message):
    model = tiny_vatt("flat")
    with pytest.raises(ValueError, match=message):
        model.compile(**arguments)


def test_flat_update_has_every_trainable_weight():
    model = model_with(sgd(), harmonizer="realign")
    update = update_of(model, tiny_batch())
    assert update.size == flat(values_of(model.trainable_variables)).size
    assert np.count_nonzero(update) > 0.9 * update.size
