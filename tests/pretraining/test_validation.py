"""Validation evaluates held-out clips, and training is the same without it."""

import csv
import json
import pathlib

import keras
import numpy as np
import pytest

import keras_vatt
from keras_vatt.data import CachedClips, make_dataset
from keras_vatt.pretraining import PretrainingError
from keras_vatt.pretraining._validation_results import (
    result_names,
    validation_results,
)
from tests.distribution.device_steps import four_replicas
from tests.models.tiny import tiny_batch, tiny_vatt
from tests.pretraining.tiny_run import (
    Killed,
    assert_same_weights,
    kill_at_step,
    make_tiny_data,
    rows_of,
    run,
)

OPTIONS = {"validation_steps": 2, "checkpoint_steps": 2, "ema_momentum": 0.5}


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    return make_tiny_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def whole_run(settings, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "whole"
    run(settings, folder, **OPTIONS)
    return folder


def assert_same_training(folder, other):
    assert rows_of(folder / "history.csv") == rows_of(other / "history.csv")
    assert_same_weights(folder / "preset", other / "preset")


def test_a_run_with_averages_is_trained_the_same_without_validation(
    settings, whole_run, tmp_path
):
    run(settings, tmp_path / "run", **OPTIONS | {"validation_steps": None})
    assert_same_training(tmp_path / "run", whole_run)
    assert not (tmp_path / "run" / "validation.csv").exists()
    assert not (tmp_path / "run" / "best").exists()


def test_a_run_is_trained_the_same_without_validation(settings, tmp_path):
    changes = {"epochs": 1, "harmonizer": "curriculum+realign"}
    run(settings, tmp_path / "plain", **changes)
    rows = run(settings, tmp_path / "run", **changes, validation_steps=1)
    assert [row["step"] for row in rows] == [1, 2, 3]
    assert_same_training(tmp_path / "run", tmp_path / "plain")


def test_there_is_a_row_for_each_validation(whole_run):
    rows = rows_of(whole_run / "validation.csv")
    assert [row["step"] for row in rows] == [2, 4, 6]
    assert {"val_loss", "val_video_text_loss", "text->video/recall_at_10"} <= set(
        rows[0]
    )
    assert all(np.isfinite(value) for row in rows for value in row.values())
    assert list((whole_run / "tensorboard" / "held_out").glob("events.*"))


def results_of(folder, preset, batch_size):
    """Computes the results of the preset of a run on its held-out clips."""
    model = keras_vatt.VATT.from_preset(folder / preset)
    model.compile()
    clips = CachedClips(folder / "cache" / "test", model.preprocessor.tokenizer)
    dataset = make_dataset(clips, 5, training=False)
    return validation_results(model, model, dataset, batch_size)


def test_validations_are_of_the_averages_that_are_saved(settings, whole_run):
    rows = rows_of(whole_run / "validation.csv")
    best = min(rows, key=lambda row: row["val_loss"])
    for preset, row in (("preset", rows[-1]), ("best", best)):
        results = results_of(whole_run, preset, settings.batch_size)
        assert row == pytest.approx({"step": row["step"], **results}, rel=1e-5)


# At step 4, the newest checkpoint is older than the validation; at 5, it is not.
@pytest.mark.parametrize("step", [5, pytest.param(4, marks=pytest.mark.once)])
def test_a_killed_run_comes_to_the_same_validations_and_averages(
    settings, whole_run, tmp_path, monkeypatch, step
):
    with monkeypatch.context() as patch:
        kill_at_step(patch, step)
        with pytest.raises(Killed):
            run(settings, tmp_path / "run", **OPTIONS)
    before = rows_of(tmp_path / "run" / "validation.csv")
    assert [row["step"] for row in before] == [2, 4]
    rows = run(settings, tmp_path / "run", **OPTIONS)
    assert rows == rows_of(whole_run / "validation.csv")
    assert_same_training(tmp_path / "run", whole_run)
    assert_same_weights(tmp_path / "run" / "best", whole_run / "best")


class Clips:
    """A source of random clips, some of which lack audio or a caption."""

    def __len__(self):
        return 18

    def clip(self, index, epoch=0):
        clip = {n: x[0] for n, x in tiny_batch(1, 1, seed=index).items()}
        masks = {"audio_mask": index % 5 > 0, "text_mask": index % 4 > 0}
        return clip | {name: np.float32(value) for name, value in masks.items()}


def test_losses_are_those_of_evaluate_on_whole_batches():
    model = tiny_vatt()
    model.compile(run_eagerly=keras.config.backend() == "tensorflow")
    dataset = make_dataset(Clips(), 5, training=False)
    results = validation_results(model, model, dataset, batch_size=8)
    assert list(results) == result_names(model)
    # The two clips after the last whole batch are left out.
    batches = make_dataset(Clips(), 8, training=False)
    expected = model.evaluate(batches, steps=2, verbose=0, return_dict=True)
    losses = {name: results[f"val_{name}"] for name in expected}
    assert losses == pytest.approx(expected, rel=1e-4)


@pytest.mark.once
def test_a_model_that_has_diverged_has_no_results():
    model = tiny_vatt()
    model.compile()
    model.weights[-1].assign(np.full(model.weights[-1].shape, np.nan))
    kernel = model.bridge_head.trainable_weights[0]
    kernel.assign(np.full(kernel.shape, np.nan))
    results = validation_results(model, model, make_dataset(Clips(), 9, False), 8)
    assert list(results) == result_names(model)
    assert np.isnan(list(results.values())).all()


@pytest.mark.once
def test_a_validation_may_use_fewer_clips(settings, tmp_path, capsys):
    options = {"epochs": 1, "validation_steps": 3, "validation_clips": 2}
    (row,) = run(settings, tmp_path / "run", **options)
    # Of two clips, each rank is 1 or 2.
    assert row["text->video/recall_at_5"] == 1
    assert row["text->video/median_rank"] in (1, 1.5, 2)
    lines = capsys.readouterr().out.splitlines()
    (line,) = [line for line in lines if line.startswith("validation at step 3: ")]
    assert f"val_loss {row['val_loss']:.4f}" in line


@pytest.mark.once
def test_validation_needs_held_out_clips(settings, tmp_path):
    manifest = tmp_path / "train.csv"
    corpus = settings.data
    with manifest.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "caption"])
        for line in pathlib.Path(corpus, "manifest.jsonl").read_text().splitlines():
            row = json.loads(line)
            writer.writerow([f"{corpus}/{row['path']}", row["caption"]])
    options = {"data": str(manifest), "test_fraction": 0.0, "allow_outside": True}
    with pytest.raises(PretrainingError, match="needs held-out clips"):
        run(settings, tmp_path / "run", validation_steps=1, **options)


@pytest.mark.skipif(
    keras.config.backend() == "torch", reason="PyTorch trains on one device"
)
def test_a_run_on_several_devices_is_validated_on_one(settings, tmp_path, monkeypatch):
    if keras.config.backend() == "tensorflow":
        import tensorflow as tf

        # A process has one such strategy, see `four_replicas`.
        strategy = four_replicas()
        monkeypatch.setattr(tf.distribute, "MirroredStrategy", lambda _: strategy)
    options = {"devices": "all", "batch_size": 8, "ema_momentum": 0.5}
    rows = run(settings, tmp_path / "run", **options, validation_steps=1)
    assert [row["step"] for row in rows] == [1, 2]
    results = results_of(tmp_path / "run", "preset", batch_size=8)
    assert rows[-1] == pytest.approx({"step": 2, **results}, rel=1e-4)
