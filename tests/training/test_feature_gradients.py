"""The gradient of a loss at the features, against float64 NumPy and the train step."""

import numpy as np
from keras import ops

from keras_vatt.training._feature_gradients import loss_at_features
from tests.models.tiny import tiny_vatt
from tests.training.contrastive_toy import ContrastiveToy, NumpyToy, toy_batch


def features_of(values):
    return {
        name: ops.convert_to_tensor(rows, "float32") for name, rows in values.items()
    }


def test_gradients_of_a_toy_equal_those_by_hand():
    batch, toy = toy_batch(), NumpyToy(3)
    model = ContrastiveToy(3)
    model.compile("sgd")
    features = features_of(toy.features(batch))
    masks = {
        f"{m}_mask": ops.convert_to_tensor(batch[f"{m}_mask"])
        for m in ("audio", "text")
    }
    losses = zip(model.branch_losses(), toy.gradients_of_features(batch), strict=True)
    for loss, expected in losses:
        terms, gradients = loss_at_features(model, loss, features, masks)
        assert set(gradients) == set(loss.branches)
        assert tuple(terms.shape) == (8,)
        for name, gradient in gradients.items():
            # The gradient by hand is that of half of the mean.
            scaled = ops.convert_to_numpy(gradient) * 0.5 / 8
            np.testing.assert_allclose(scaled, expected[name], atol=1e-6)


def test_inference_mode_uses_moving_statistics_and_changes_no_variable():
    model = tiny_vatt("flat")
    model.compile("sgd")
    random = np.random.default_rng(0)
    rows = {m: random.normal(3, 2, (6, 16)) for m in ("video", "audio", "text")}
    features, loss = features_of(rows), model.branch_losses()[0]
    before = [ops.convert_to_numpy(weight) for weight in model.weights]
    terms = {
        training: loss_at_features(model, loss, features, training=training)[0]
        for training in (False, True)
    }
    for weight, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(weight), value)
    embeddings = model.bridge_head(features, training=False)
    expected = model.contrastive_loss.per_clip(
        embeddings["video"]["to_audio"], embeddings["audio"]["to_video"]
    )
    found = {key: ops.convert_to_numpy(value) for key, value in terms.items()}
    np.testing.assert_allclose(found[False], ops.convert_to_numpy(expected), rtol=1e-5)
    assert np.abs(found[True] - found[False]).max() > 1e-3
