"""A skipped step changes nothing but seeds, counters and, if finite, statistics."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_vatt import harmonization as h
from tests.models.tiny import tiny_batch, tiny_vatt
from tests.training.steps import model_with, train, values_of

pytestmark = pytest.mark.filterwarnings("ignore:.*has a NaN or an infinity")

NEVER = h.Curriculum(1.0)


def adam():
    return keras.optimizers.Adam(1e-2, weight_decay=0.1, use_ema=True)


def broken(batch, modality="audio"):
    batch = {name: value.copy() for name, value in batch.items()}
    batch[modality][0, 0, 0] = np.nan
    return batch


def state_of(model):
    return values_of(model.trainable_variables + model.optimizer.variables)


def assert_unchanged(before, after):
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)


def test_curriculum_skip_leaves_weights_slots_and_iterations():
    model = model_with(adam(), harmonizer=NEVER)
    before = state_of(model)
    statistics = values_of(model.bridge_head.non_trainable_variables)
    logs = train(model, tiny_batch(seed=1), tiny_batch(seed=2))
    assert_unchanged(before, state_of(model))
    assert int(model.optimizer.iterations) == 0
    assert logs["skip_rate"] == 1
    assert logs["nonfinite_rate"] == 0
    after = values_of(model.bridge_head.non_trainable_variables)
    assert all((old != new).any() for old, new in zip(statistics, after, strict=True))


def test_seeds_advance_in_a_skipped_step():
    keras.utils.set_random_seed(0)
    model = tiny_vatt(dropout=0.5, token_keep_rate=0.5)
    model.compile(harmonizer=NEVER)
    weights = {id(weight) for weight in model.weights}
    seeds = [v for v in model.variables if id(v) not in weights]
    before = values_of(seeds)
    train(model, tiny_batch())
    assert len(before) > 5
    for old, seed in zip(before, seeds, strict=True):
        assert (old != ops.convert_to_numpy(seed)).any(), seed.path


@pytest.mark.parametrize(
    "harmonizer", [pytest.param(None, marks=pytest.mark.once), "realign"]
)
def test_nonfinite_step_is_skipped_and_counted(harmonizer):
    model = model_with(adam(), harmonizer=harmonizer)
    train(model, tiny_batch(seed=1))
    before = state_of(model)
    logs = train(model, broken(tiny_batch(seed=2)))
    assert_unchanged(before, state_of(model))
    assert logs["nonfinite_rate"] == 1
    assert np.isnan(logs["loss"])


@pytest.mark.parametrize("options", [{"num_micro_batches": 2}, {"harmonizer": "sum"}])
def test_nonfinite_clips_leave_every_variable_finite(options):
    model = model_with(adam(), **options)
    broken_values = [np.nan, np.inf, -np.inf, 3e38]
    for value in broken_values:
        for modality in ("video", "audio"):
            batch = tiny_batch()
            batch[modality][3].flat[7] = value
            train(model, batch)
    for variable in [*model.variables, *model.optimizer.variables]:
        assert np.isfinite(ops.convert_to_numpy(variable)).all(), variable.path
    assert int(model.num_steps) == 8
    embeddings = model.encode(**tiny_batch(seed=1))
    assert np.isfinite(embeddings["video"]["to_text"]).all()


def test_a_nonfinite_clip_leaves_statistics_as_they_are_and_seeds_advance():
    model = model_with(harmonizer="realign", model_args={"dropout": 0.5})
    weights = {id(weight) for weight in model.weights}
    seeds = [v for v in model.variables if id(v) not in weights]
    before, seeds_before = values_of(model.weights), values_of(seeds)
    train(model, broken(tiny_batch(), "video"))
    assert_unchanged(before, values_of(model.weights))
    for old, new in zip(seeds_before, values_of(seeds), strict=True):
        assert (old != new).any()


def test_a_nonfinite_clip_shows_in_the_validation_losses():
    model = model_with(harmonizer="realign")
    masks = {"audio_mask": np.ones(8), "text_mask": np.ones(8)}
    logs = model.test_on_batch(broken(tiny_batch() | masks, "video"), return_dict=True)
    assert np.isnan([float(value) for value in logs.values()]).all()


@pytest.mark.once
def test_training_goes_on_after_a_nonfinite_step():
    model = model_with(adam(), harmonizer="realign")
    batches = [tiny_batch(seed=1), broken(tiny_batch(seed=2)), tiny_batch(seed=3)]
    dataset = {name: np.concatenate([b[name] for b in batches]) for name in batches[0]}
    history = model.fit(dataset, batch_size=8, shuffle=False, verbose=0).history
    assert history["nonfinite_rate"] == [pytest.approx(1 / 3)]
    assert history["skip_rate"] == [pytest.approx(1 / 3)]
    assert np.isfinite(list(history.values())).all()
    assert int(model.optimizer.iterations) == 2


def test_one_broken_group_skips_the_whole_step():
    model = model_with(adam(), harmonizer="realign", num_groups=2)
    before = state_of(model)
    logs = train(model, broken(tiny_batch()))
    assert_unchanged(before, state_of(model))
    assert logs["nonfinite_rate"] == logs["skip_rate"] == 1


@pytest.mark.once
def test_threshold_reads_the_number_of_steps_taken_skipped_ones_included():
    # The cosine is between -1 and 1: skip in steps 0 and 1, apply from step 2 on.
    falling = keras.optimizers.schedules.PiecewiseConstantDecay([1], [1.0, -1.0])
    model = model_with(adam(), harmonizer=h.Curriculum(falling))
    batches = [tiny_batch(seed=seed) for seed in range(5)]
    for batch in batches:
        model.train_on_batch(batch)
    assert int(model.optimizer.iterations) == 3
    assert int(model.num_steps) == 5
    model.reset_metrics()
    assert int(model.num_steps) == 5
