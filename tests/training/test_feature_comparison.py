"""Gradients compared at the features, against explicit loops in float64 NumPy."""

import keras
import numpy as np
import pytest

from keras_vatt import harmonization as h
from tests.models.tiny import tiny_batch
from tests.training.contrastive_toy import (
    MODALITIES,
    ContrastiveToy,
    NumpyToy,
    pair_mask,
    toy_batch,
)
from tests.training.steps import model_with, train, update_of, values_of

EAGER = keras.config.backend() == "tensorflow"
BOTH = {"harmonizer": h.Chain([h.Curriculum(0.1), h.Realignment()])}


def compiled_toy(num_losses=2, **arguments):
    model = ContrastiveToy(num_losses)
    arguments = {"compare": "features", "num_groups": "per_clip"} | arguments
    model.compile(keras.optimizers.SGD(1.0), run_eagerly=EAGER, **arguments)
    return model


def weights_of_toy(model):
    return {
        name: dict(zip(towers, values_of(towers.values()), strict=True))
        for name, towers in model.towers.items()
    }


def updates_of_toy(model, batch):
    """Changes of the weights, by stage and modality, and the logs."""
    before = weights_of_toy(model)
    logs = train(model, batch)
    after = weights_of_toy(model)
    updates = {
        name: {m: before[name][m] - after[name][m] for m in MODALITIES}
        for name in before
    }
    return updates, logs


def explicit_decisions(batch, num_losses, num_groups, threshold):
    """Weights, flags and cosines of all groups, each from its own clips."""
    toy = NumpyToy(num_losses)
    gradients = toy.gradients_of_features(batch)
    num_clips = len(batch["video"])
    weights, kept, cosines = np.ones((num_clips, num_losses)), [], []
    for clips in np.split(np.arange(num_clips), num_groups):
        gram = np.zeros((num_losses, num_losses))
        for i in clips:
            for k, first in enumerate(toy.pairs):
                for n, second in enumerate(toy.pairs):
                    valid = pair_mask(*first, batch)[i] * pair_mask(*second, batch)[i]
                    for m in set(first) & set(second):
                        users = sum(m in pair for pair in toy.pairs)
                        product = gradients[k][m][i] @ gradients[n][m][i]
                        gram[k, n] += product * valid * (users > 1)
        present = [k for k in range(num_losses) if gram[k, k] > 0]
        cosine = min(
            (
                gram[k, n] / np.sqrt(gram[k, k] * gram[n, n])
                for k in present
                for n in present
                if k < n
            ),
            default=None,
        )
        cosines.append(cosine)
        apply = cosine is None or cosine > threshold
        kept += [apply] * len(clips)
        for k in present if apply and cosine is not None else []:
            conflicts = sum(min(gram[n, k], 0) for n in present)
            weights[clips, k] = 1 - conflicts / gram[k, k]
    return weights, np.array(kept), cosines


ONCE = {"marks": pytest.mark.once}


@pytest.mark.parametrize(
    ("num_losses", "num_groups", "threshold"),
    [
        (2, "per_clip", -1.0),
        (2, 4, 0.1),
        (3, "per_clip", 0.1),
        pytest.param(2, "per_clip", 0.1, **ONCE),
        pytest.param(2, 1, -1.0, **ONCE),
        pytest.param(2, 1, 0.1, **ONCE),
        pytest.param(3, 1, -1.0, **ONCE),
        pytest.param(3, 4, -1.0, **ONCE),
        pytest.param(3, 4, 0.1, **ONCE),
    ],
)
def test_step_equals_an_explicit_loop_over_the_clips(num_losses, num_groups, threshold):
    harmonizer = h.Realignment()
    if threshold > -1:
        harmonizer = h.Chain([h.Curriculum(threshold), harmonizer])
    batch = toy_batch()
    count = 8 if num_groups == "per_clip" else num_groups
    weights, kept, cosines = explicit_decisions(batch, num_losses, count, threshold)
    model = compiled_toy(num_losses, harmonizer=harmonizer, num_groups=num_groups)
    updates, logs = updates_of_toy(model, batch)
    masks = {f"{m}_mask": batch[f"{m}_mask"] * kept for m in MODALITIES[1:]}
    expected = NumpyToy(num_losses).weighted_gradients(batch | masks, weights)
    for name, of_modality in expected.items():
        for m, gradient in of_modality.items():
            expected_update = gradient if kept.any() else np.zeros_like(gradient)
            np.testing.assert_allclose(updates[name][m], expected_update, atol=1e-6)
    known = [cosine for cosine in cosines if cosine is not None]
    assert logs["gradient_cosine"] == pytest.approx(np.mean(known), abs=1e-5)
    conflicts = sum(cosine < 0 for cosine in known)
    assert logs["conflict_rate"] == pytest.approx(conflicts / count)
    groups = np.split(np.max([batch["audio_mask"], batch["text_mask"]], axis=0), count)
    if num_losses == 2:
        has_loss = np.array([group.max() > 0 for group in groups])
        skipped = 1 - kept.reshape(count, -1)[has_loss, 0].mean()
        assert logs["skip_rate"] == pytest.approx(skipped)


@pytest.mark.parametrize(
    ("num_groups", "harmonizer"),
    [
        ("per_clip", h.Curriculum(-1.0)),
        (1, h.Sum()),
        pytest.param("per_clip", h.Sum(), **ONCE),
        pytest.param(2, h.Curriculum(-1.0), **ONCE),
    ],
    ids=["per_clip-curriculum", "1-sum", "per_clip-sum", "2-curriculum"],
)
def test_weights_of_ones_are_the_plain_step(num_groups, harmonizer):
    batch = toy_batch(seed=3)
    arguments = {"compare": "features", "num_groups": num_groups}
    plain = compiled_toy(compare="parameters", num_groups=1, harmonizer=None)
    model = compiled_toy(harmonizer=harmonizer, **arguments)
    expected, _ = updates_of_toy(plain, batch)
    updates, _ = updates_of_toy(model, batch)
    for name, of_modality in expected.items():
        for m, update in of_modality.items():
            np.testing.assert_allclose(updates[name][m], update, atol=1e-6)


def test_step_is_skipped_if_no_clip_is_left():
    batch = toy_batch() | {
        f"{m}_mask": np.ones(8, "float32") for m in ("audio", "text")
    }
    model = compiled_toy(harmonizer=h.Curriculum(1.0))
    updates, logs = updates_of_toy(model, batch)
    assert logs["skip_rate"] == 1
    assert int(model.optimizer.iterations) == 0
    assert not any(u.any() for towers in updates.values() for u in towers.values())


def test_clip_with_one_loss_is_kept_whatever_the_threshold():
    masks = {"audio_mask": np.ones(8, "float32"), "text_mask": np.zeros(8, "float32")}
    batch = toy_batch() | masks
    model = compiled_toy(harmonizer=h.Curriculum(0.99))
    plain = compiled_toy(compare="parameters", num_groups=1, harmonizer=None)
    updates, logs = updates_of_toy(model, batch)
    expected, _ = updates_of_toy(plain, batch)
    assert logs["skip_rate"] == logs["conflict_rate"] == 0
    for m in MODALITIES:
        np.testing.assert_allclose(
            updates["encoder"][m], expected["encoder"][m], atol=1e-6
        )


def test_nonfinite_clip_skips_the_step():
    batch = toy_batch()
    batch["video"][2] = np.nan
    model = compiled_toy(**BOTH)
    updates, logs = updates_of_toy(model, batch)
    assert logs["nonfinite_rate"] == logs["skip_rate"] == 1
    assert not any(u.any() for towers in updates.values() for u in towers.values())


def masks_of(batch):
    return [name for name in batch if name.endswith("_mask")]


class NoWeights(h.Harmonizer):
    may_skip = False

    def harmonize(self, gram, step):
        return keras.ops.full_like(gram[..., 0], float("inf")), True


@pytest.mark.parametrize("compare", ["features", "parameters"])
def test_weights_that_are_not_finite_change_nothing(compare):
    num_groups = "per_clip" if compare == "features" else 1
    model = compiled_toy(harmonizer=NoWeights(), compare=compare, num_groups=num_groups)
    before = values_of(model.trainable_variables)
    batch = toy_batch()
    logs = train(
        model, batch | {name: np.ones(8, "float32") for name in masks_of(batch)}
    )
    assert logs["skip_rate"] == 1
    for first, second in zip(before, values_of(model.trainable_variables), strict=True):
        np.testing.assert_array_equal(first, second)


def test_loss_scale_cancels():
    inner = keras.optimizers.SGD(1.0)
    optimizer = keras.optimizers.LossScaleOptimizer(inner, initial_scale=1024.0)
    arguments = {"compare": "features", "num_groups": "per_clip"} | BOTH
    scaled, plain = ContrastiveToy(), compiled_toy(**BOTH)
    scaled.compile(optimizer, run_eagerly=EAGER, **arguments)
    batch = toy_batch()
    updates, logs = updates_of_toy(scaled, batch)
    expected, expected_logs = updates_of_toy(plain, batch)
    assert logs == pytest.approx(expected_logs, rel=1e-5)
    for m in MODALITIES:
        np.testing.assert_allclose(updates["head"][m], expected["head"][m], atol=1e-6)


@pytest.mark.parametrize("form", ["agnostic", "specific"])
def test_vatt_skips_clips_as_the_masks_do(form):
    batch = tiny_batch() | {"text_mask": np.array([1, 0, 1, 1, 1, 1, 1, 1], "float32")}
    decided = []

    class Seen(h.Harmonizer):
        def harmonize(self, gram, step):
            applied = keras.ops.arange(8) % 3 > 0
            decided.append(applied)
            return keras.ops.ones_like(gram[..., 0]), applied

    arguments = {"compare": "features", "num_groups": "per_clip", "form": form}
    model = model_with(keras.optimizers.SGD(1.0), harmonizer=Seen(), **arguments)
    update = update_of(model, batch)
    kept = np.array([0, 1, 1, 0, 1, 1, 0, 1], "float32")
    masks = {"audio_mask": kept, "text_mask": kept * batch["text_mask"]}
    expected = update_of(
        model_with(keras.optimizers.SGD(1.0), form=form), batch | masks
    )
    assert np.linalg.norm(update - expected) < 5e-4 * np.linalg.norm(expected)
    assert decided


def test_micro_batches_give_the_step_of_the_whole_batch():
    arguments = {"compare": "features", "num_groups": "per_clip"} | BOTH
    updates = [
        update_of(
            model_with(keras.optimizers.SGD(1.0), num_micro_batches=n, **arguments),
            tiny_batch(),
        )
        for n in (1, 4)
    ]
    difference = np.linalg.norm(updates[0] - updates[1])
    assert difference < 5e-4 * np.linalg.norm(updates[0])


@pytest.mark.once
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"compare": "tokens"}, "`compare` must be one of"),
        ({"harmonizer": None, "num_groups": 1}, "no harmonizer"),
        ({"harmonizer": "sum", "group_by": "anchors"}, "`group_by`"),
        ({"harmonizer": "sum", "harmonized_variables": "shared"}, "are for `compare="),
        ({"harmonizer": "sum", "num_groups": "per_sample"}, "'per_clip'"),
        ({"harmonizer": "sum", "num_groups": 2.0}, "must be an int"),
        ({"harmonizer": "sum", "num_groups": True}, "must be an int"),
        (
            {"harmonizer": None, "compare": "parameters", "num_groups": 1}
            | {"harmonized_variables": "shared"},
            "no harmonizer",
        ),
    ],
)
def test_compile_refuses_contradictions(arguments, message):
    with pytest.raises(ValueError, match=message):
        compiled_toy(**arguments)


@pytest.mark.once
def test_compile_takes_the_ints_of_numpy():
    assert compiled_toy(harmonizer="sum", num_groups=np.int64(4)).num_groups == 4
