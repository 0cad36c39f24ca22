"""The default optimizer fits the width of the model; long schedules are named."""

import keras
import numpy as np
import pytest

from keras_vatt.models._classifier_defaults import default_optimizer
from keras_vatt.training import fine_tuning_optimizer
from tests.models.classifiers import raw_clips, tiny_classifier


@pytest.mark.once
@pytest.mark.parametrize(
    ("feature_dim", "rate"),
    [(1_024, 0.1 / 1_024), (128, 0.1 / 128), (8, 1e-3)],
    ids=["medium", "tiny", "narrower than any preset"],
)
def test_the_rate_goes_with_the_inverse_of_the_width(feature_dim, rate):
    optimizer = default_optimizer(feature_dim)
    assert isinstance(optimizer, keras.optimizers.Adam)
    assert float(optimizer.learning_rate) == pytest.approx(rate)


def test_a_classifier_is_compiled_for_the_width_of_its_features():
    model = tiny_classifier("audio")
    model.compile()
    rate = default_optimizer(model.backbone.feature_dims["audio"]).learning_rate
    assert float(model.optimizer.learning_rate) == float(rate)


@pytest.mark.once
@pytest.mark.parametrize("kind", ["audio", "image"])
@pytest.mark.parametrize("is_raw", [True, False], ids=["raw", "arrays"])
def test_fit_warns_of_a_schedule_that_is_longer_than_the_run(kind, is_raw):
    model = tiny_classifier(kind)
    clips = raw_clips(kind, 4)
    inputs = clips if is_raw else np.zeros((4, *_shape_of(kind)), "float32")
    model.compile(optimizer=fine_tuning_optimizer())
    with pytest.warns(UserWarning, match="100000 steps.*ends after 4,"):
        model.fit(inputs, [0, 1, 2, 0], batch_size=2, epochs=2, verbose=0)


@pytest.mark.once
def test_fit_does_not_warn_of_a_schedule_as_long_as_the_run(recwarn):
    model = tiny_classifier("audio")
    model.compile(optimizer=fine_tuning_optimizer(total_steps=4))
    inputs = np.zeros((4, *_shape_of("audio")), "float32")
    model.fit(inputs, [0, 1, 2, 0], batch_size=2, epochs=2, verbose=0)
    assert not [w for w in recwarn.list if "schedule" in str(w.message)]


def _shape_of(kind):
    return {"audio": (96, 1), "image": (8, 8, 3)}[kind]
