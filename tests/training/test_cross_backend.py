"""Three steps come to the same losses, gradients and weights on every backend."""

import json
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest

from tests.training.steps import model_with

pytestmark = pytest.mark.skipif(
    keras.config.backend() != "jax", reason="one backend starts the other two"
)
ROOT = pathlib.Path(__file__).parents[2]
SIZES = (
    "video_audio_loss",
    "video_text_loss",
    "video_audio_gradient_norm",
    "video_text_gradient_norm",
)
# It may be near zero, where a relative difference means nothing.
COSINE = "gradient_cosine"

_RUN = """
import json, sys
import keras, numpy as np
from tests.models.tiny import tiny_batch
from tests.training.steps import flat, model_with, train, values_of
from keras_vatt.losses import AsymmetricNCE

def run(form, stem):
    # Biases of keys have no gradient but rounding: a smaller epsilon makes it a step.
    optimizer = keras.optimizers.Adam(1e-3, epsilon=1e-4)
    # At VATT's temperature of 0.07 rounding alone changes gradient norms by 1e-4.
    loss = AsymmetricNCE(temperature=0.5)
    model = model_with(optimizer, form=form, harmonizer="realign", loss=loss)
    with np.load(f"{folder}/{form}.npz") as start:
        model.set_weights([start[name] for name in start.files])
    logs = [train(model, tiny_batch(16, seed=seed)) for seed in range(3)]
    np.save(stem + ".npy", flat(values_of(model.trainable_variables)))
    open(stem + ".json", "w").write(json.dumps(logs))


backend, folder = sys.argv[1:]
for form in ("agnostic", "specific"):
    run(form, f"{folder}/{backend}-{form}")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the logs and weights of both forms on every backend."""
    folder = tmp_path_factory.mktemp("runs")
    for form in ("agnostic", "specific"):
        np.savez(folder / f"{form}.npz", *model_with(form=form).get_weights())
    for backend in ("jax", "tensorflow", "torch"):
        environment = {"KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT)}
        subprocess.run(
            [sys.executable, "-c", _RUN, backend, folder],
            env=os.environ | environment,
            check=True,
            capture_output=True,
        )
    return folder


@pytest.mark.parametrize("form", ["agnostic", "specific"])
def test_three_steps_are_the_same_on_every_backend(form, folder):
    runs = {}
    for backend in ("jax", "tensorflow", "torch"):
        stem = folder / f"{backend}-{form}"
        logs = json.loads(stem.with_suffix(".json").read_text())
        runs[backend] = logs, np.load(stem.with_suffix(".npy"))
    logs, weights = runs["jax"]
    for backend in ("tensorflow", "torch"):
        other_logs, other_weights = runs[backend]
        distance = np.linalg.norm(other_weights - weights) / np.linalg.norm(weights)
        pairs = list(zip(logs, other_logs, strict=True))
        relative = max(abs(b[name] / a[name] - 1) for a, b in pairs for name in SIZES)
        cosine = max(abs(b[COSINE] - a[COSINE]) for a, b in pairs)
        print(
            f"{form}, {backend} against jax: weights {distance:.1e}, losses and "
            f"gradient norms {relative:.1e}, cosines {cosine:.1e}"
        )
        assert max(distance, relative, cosine) < 1e-4
