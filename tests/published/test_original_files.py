"""Tests that written checkpoints have the form of the original ones."""

import numpy as np
import pytest
import tensorflow as tf

from keras_vatt.conversion._original_checkpoint import (
    OriginalCheckpoint,
    load_original_checkpoint,
)
from keras_vatt.conversion._original_config import layout_of
from keras_vatt.conversion._original_keys import is_model_key
from tests.models.tiny import tiny_vatt
from tests.published.original_files import (
    OBJECT_GRAPH,
    model_specs,
    random_value,
    write_original,
)

pytestmark = pytest.mark.once


@pytest.mark.parametrize("form", ["agnostic", "specific"])
def test_a_written_checkpoint_has_the_weights_of_a_model(tmp_path, form):
    model = tiny_vatt(form)
    specs = model_specs(model)
    write_original(tmp_path / "ckpt-1", specs, optimizer_slots=True)
    checkpoint = OriginalCheckpoint(tmp_path / "ckpt-1")
    layout = layout_of(model)
    load_original_checkpoint(model, layout, checkpoint)
    assert {key for key in checkpoint.specs if is_model_key(key, layout)} == set(specs)
    for key, spec in specs.items():
        np.testing.assert_array_equal(checkpoint.read(key), random_value(key, spec))


def test_tensorflow_reads_a_written_checkpoint(tmp_path):
    specs = model_specs(tiny_vatt())
    write_original(tmp_path / "ckpt-1", specs, seed=1)
    reader = tf.train.load_checkpoint(str(tmp_path / "ckpt-1"))
    assert reader.get_tensor(OBJECT_GRAPH) == b"object graph"
    for key, spec in specs.items():
        expected = random_value(key, spec, seed=1)
        np.testing.assert_array_equal(reader.get_tensor(key), expected)


def test_seeds_give_different_values():
    ((key, spec), *_) = model_specs(tiny_vatt()).items()
    assert np.any(random_value(key, spec, seed=0) != random_value(key, spec, seed=1))
