"""A branch is its encoder and what follows it."""

import keras
import numpy as np
import pytest
from keras import ops

from tests.models.tiny import tiny_batch, tiny_vatt
from tests.training.steps import train, values_of
from tests.training.toy import ToyModel


@pytest.mark.parametrize("form", ["agnostic", "specific"])
def test_a_called_branch_gives_the_embeddings_of_the_model(form):
    model, batch = tiny_vatt(form), tiny_batch()
    expected = model(batch, training=False)
    for modality, branch in model.branches().items():
        outputs = branch(batch, training=False)
        assert outputs
        for name, embeddings in outputs.items():
            np.testing.assert_allclose(
                ops.convert_to_numpy(embeddings),
                ops.convert_to_numpy(expected[modality][name]),
                rtol=1e-4,
                atol=1e-5,
            )


def test_a_branch_is_in_training_mode_unless_told_otherwise():
    model, batch = ToyModel(dropout=0.5), {"first": np.ones((20, 3), "float32")}
    branch = model.branches()["first"]
    outputs = [branch(batch), branch(batch, training=True)]
    for dropped in map(ops.convert_to_numpy, outputs):
        assert set(np.unique(dropped)) == {0, 2}
    kept = ops.convert_to_numpy(branch(batch, training=False))
    np.testing.assert_array_equal(kept, 1)


@pytest.mark.parametrize("num_micro_batches", [1, 2])
@pytest.mark.parametrize("harmonizer", [None, "sum"])
def test_a_branch_goes_on_with_the_seeds_that_the_one_before_left(
    num_micro_batches, harmonizer
):
    # Both branches go through one dropout layer: what they drop must differ.
    model = ToyModel(dropout=0.5)
    model.compile(
        keras.optimizers.SGD(1.0),
        harmonizer=harmonizer,
        num_micro_batches=num_micro_batches,
        run_eagerly=keras.config.backend() == "tensorflow",
    )
    ones = np.ones((8, 3), "float32")
    train(model, {"first": ones, "second": ones})
    first, second = values_of(model.kernels.values())
    assert np.any(first != second)
