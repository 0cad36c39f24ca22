"""A branch is its encoder and what follows it."""

import numpy as np
import pytest
from keras import ops

from tests.models.tiny import tiny_batch, tiny_vatt
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
