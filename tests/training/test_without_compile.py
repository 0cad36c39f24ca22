"""A model that was never compiled says so."""

import pytest

from tests.models.tiny import tiny_batch, tiny_vatt


@pytest.mark.parametrize("loop", ["fit", "evaluate", "train_on_batch", "test_on_batch"])
def test_each_loop_asks_for_compile(loop):
    model = tiny_vatt("flat")
    with pytest.raises(ValueError, match="compile"):
        getattr(model, loop)(tiny_batch())


def test_there_are_no_metrics_yet():
    model = tiny_vatt("flat")
    assert model.metrics == model.metrics_names == []
