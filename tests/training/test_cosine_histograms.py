"""Histograms of the gradients' cosines, from the step to TensorBoard."""

import keras
import numpy as np
import pytest

from keras_vatt.training import CosineHistograms, RunCheckpoint
from keras_vatt.training._cosine_histogram import BIN_EDGES, _as_values, count_cosines
from tests.training.steps import train
from tests.training.test_known_gradients import (
    INPUTS,
    compiled,
    cosine,
    gradients_of_groups,
)


def test_cosines_are_counted_by_bins():
    random = np.random.default_rng(0)
    cosines = random.uniform(-1, 1, 200).astype("float32")
    cosines[:4] = [-1, 0, 1, np.nan]
    counted = (random.uniform(size=200) < 0.8).astype("float32")
    counted[:4] = [1, 1, 1, 0]
    actual = keras.ops.convert_to_numpy(count_cosines(cosines, counted))
    expected, _ = np.histogram(cosines[counted > 0], BIN_EDGES)
    np.testing.assert_array_equal(actual, expected)


def test_each_group_counts_once_per_step():
    model = compiled(shared=True, harmonizer="sum", num_groups=4)
    train(model, INPUTS)
    cosines = [cosine(group) for group in gradients_of_groups(4)]
    expected, _ = np.histogram(np.array(cosines) + 1e-6, BIN_EDGES)
    counts = keras.ops.convert_to_numpy(model.step_metrics.cosine_counts)
    np.testing.assert_array_equal(counts, expected)


@pytest.mark.once
def test_histograms_of_epochs_reach_tensorboard_and_the_checkpoint(tmp_path):
    from tensorboard.backend.event_processing import event_accumulator

    model = compiled(shared=True, harmonizer="sum", num_groups=4)
    checkpoint = RunCheckpoint(tmp_path / "run")
    callbacks = [CosineHistograms(tmp_path / "logs"), checkpoint]
    # Validation resets the metrics before the end of the epoch.
    validation = {"validation_data": INPUTS, "validation_batch_size": 4}
    model.fit(
        INPUTS, batch_size=4, epochs=2, callbacks=callbacks, verbose=0, **validation
    )
    assert [sum(counts) for counts in checkpoint.cosine_counts] == [4, 4]
    events = event_accumulator.EventAccumulator(
        str(tmp_path / "logs" / "train"), {"tensors": 0}
    )
    events.Reload()
    first, second = events.Tensors("gradient_cosine")
    assert (first.step, second.step) == (0, 1)
    restored = RunCheckpoint(tmp_path / "run")
    restored.restore(model)
    assert restored.cosine_counts == checkpoint.cosine_counts


@pytest.mark.once
def test_each_bin_has_a_bucket_of_its_own():
    counts = np.zeros(40)
    counts[10:31] = 3
    counts[20] = 0
    values, num_buckets = _as_values(counts)
    # As TensorBoard divides the range of the values.
    found, _ = np.histogram(values, num_buckets)
    np.testing.assert_array_equal(found, counts[10:31])
    values, num_buckets = _as_values(1e9 * (np.arange(40) == 7))
    assert num_buckets == 1
    assert 1e5 < len(values) < 2e6


@pytest.mark.once
def test_nothing_is_written_without_a_harmonizer(tmp_path):
    callback = CosineHistograms(tmp_path / "logs")
    compiled().fit(INPUTS, batch_size=4, callbacks=[callback], verbose=0)
    assert not (tmp_path / "logs").exists()
