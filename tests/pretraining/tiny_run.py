"""Runs of a tiny model on a few small clips, which take seconds."""

import csv
import dataclasses

import keras
import numpy as np

import keras_vatt
from keras_vatt.data import ClipSpec, make_demo_corpus, read_corpus
from keras_vatt.pretraining import PretrainSettings, pretrain
from keras_vatt.training import RunCheckpoint
from tests.models.tiny import tiny_vatt

SPEC = ClipSpec(num_frames=4, frame_size=8, sampling_rate=960, audio_samples=96)
# An epoch has 3 steps.
TRAIN_CLIPS, TEST_CLIPS, STEPS_PER_EPOCH = 12, 5, 3


def make_tiny_data(folder):
    """Makes a corpus and a preset; returns the settings that name them.

    Dropout is on, so that a change of the seeds shows.
    """
    corpus = make_demo_corpus(folder / "demo", TRAIN_CLIPS, TEST_CLIPS, progress=False)
    keras.utils.set_random_seed(0)
    model = tiny_vatt("agnostic", dropout=0.1, vocabulary_size=200)
    captions = [segment.caption for segment in read_corpus(corpus)[0]]
    words = keras_vatt.VATTTokenizer.from_captions(captions)
    model.preprocessor = keras_vatt.VATTPreprocessor.from_clip_spec(SPEC, words)
    model.save_to_preset(folder / "preset")
    return PretrainSettings(
        data=str(corpus),
        initialize_from=str(folder / "preset"),
        epochs=2,
        batch_size=4,
        learning_rate=1e-2,
        harmonizer="realign",
        candidates=1,
        devices="one",
        num_workers=1,
    )


def run(settings, output, **changes):
    """Runs to the end, or resumes; returns the rows of the validations."""
    pretrain(dataclasses.replace(settings, output=str(output), **changes))
    return rows_of(output / "validation.csv")


def rows_of(path):
    if not path.exists():
        return []
    with path.open() as file:
        rows = list(csv.DictReader(file))
    return [{name: float(value) for name, value in row.items()} for row in rows]


def weights_in(preset):
    model = keras_vatt.VATT.from_preset(preset)
    return [np.array(keras.ops.convert_to_numpy(w)) for w in model.weights]


def assert_same_weights(preset, other):
    pairs = zip(weights_in(preset), weights_in(other), strict=True)
    assert all(np.array_equal(*pair) for pair in pairs)


class Killed(BaseException):
    """Ends a run as a kill does: nothing is written after it."""


def kill_at_step(monkeypatch, step):
    """Lets runs end after a step, before the checkpoint of that step, if any."""

    def on_train_batch_end(checkpoint, batch, logs=None):
        if int(checkpoint.model.num_steps) == step:
            checkpoint.wait()
            raise Killed

    monkeypatch.setattr(RunCheckpoint, "on_train_batch_end", on_train_batch_end)
