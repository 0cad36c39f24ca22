"""Half precision: losses stay float32, and overflow is noticed."""

import keras
import numpy as np
import pytest

from tests.models.tiny import tiny_batch
from tests.training.steps import model_with, train, values_of

needs_float16 = pytest.mark.skipif(
    keras.config.backend() == "jax",
    reason="JAX has no attention in float16 on a CPU",
)


FEATURES = {"compare": "features", "num_groups": "per_clip"}
compared = pytest.mark.parametrize(
    "comparison", [{}, FEATURES], ids=["parameters", "features"]
)


@compared
def test_bfloat16_gives_nearly_the_losses_of_float32(comparison):
    logs = {}
    for dtype in ("float32", "mixed_bfloat16"):
        model = model_with("adam", dtype=dtype, harmonizer="realign", **comparison)
        logs[dtype] = train(model, tiny_batch())
    assert np.isfinite(list(logs["mixed_bfloat16"].values())).all()
    assert logs["mixed_bfloat16"]["loss"] == pytest.approx(
        logs["float32"]["loss"], rel=0.1
    )
    assert {weight.dtype for weight in model.trainable_variables} == {"float32"}


@needs_float16
@compared
def test_float16_scales_the_loss_and_not_the_gram_matrix(comparison):
    batch = tiny_batch()
    half = model_with(keras.optimizers.SGD(0.1), dtype="mixed_float16")
    assert isinstance(half.optimizer, keras.optimizers.LossScaleOptimizer)
    arguments = {"harmonizer": "realign"} | comparison
    half = model_with("sgd", dtype="mixed_float16", **arguments)
    full = model_with("sgd", **arguments)
    # The first scale overflows in the deepest gradients: let it settle.
    for _ in range(12):
        actual = train(half, batch)
        if actual["nonfinite_rate"] == 0:
            break
    expected = train(full, batch)
    assert float(half.optimizer.dynamic_scale) > 1
    for name in ("video_audio_gradient_norm", "video_text_gradient_norm", "loss"):
        assert actual[name] == pytest.approx(expected[name], rel=0.3)


@needs_float16
@pytest.mark.parametrize("harmonizer", [None, "realign"])
def test_overflow_lowers_the_scale_and_changes_no_weight(harmonizer):
    optimizer = keras.optimizers.LossScaleOptimizer(
        keras.optimizers.SGD(0.1), initial_scale=2.0**127
    )
    model = model_with(optimizer, dtype="mixed_float16", harmonizer=harmonizer)
    before = values_of(model.trainable_variables)
    logs = train(model, tiny_batch())
    assert logs["nonfinite_rate"] == 1
    assert float(optimizer.dynamic_scale) == 2.0**126
    for old, new in zip(before, values_of(model.trainable_variables), strict=True):
        np.testing.assert_array_equal(old, new)
