"""Data that can't be trained on are refused or named, before the first step."""

import keras
import numpy as np
import pytest

import keras_vatt
from tests.models.tiny import tiny_batch
from tests.training.steps import model_with, values_of

BACKEND = keras.config.backend()


def clips(count):
    return {name: value[:count] for name, value in tiny_batch(batch_size=16).items()}


@pytest.fixture(scope="module")
def model():
    return model_with("adam", harmonizer="realign", num_groups=2)


@pytest.mark.parametrize(
    "given",
    [
        {"y": np.zeros(8)},
        {"sample_weight": np.ones(8)},
        {"class_weight": {0: 1.0}},
        {"validation_data": (clips(8), np.zeros(8))},
        {"validation_data": (clips(8), None, np.ones(8))},
    ],
    ids=lambda given: "-".join(given),
)
def test_fit_refuses_targets_and_weights(model, given):
    before = int(model.num_steps)
    with pytest.raises(ValueError, match="there are no targets"):
        model.fit(clips(8), batch_size=8, verbose=0, **given)
    assert int(model.num_steps) == before


@pytest.mark.parametrize("loop", ["evaluate", "train_on_batch", "test_on_batch"])
@pytest.mark.parametrize("name", ["y", "sample_weight"])
def test_all_loops_refuse_targets_and_weights(model, loop, name):
    with pytest.raises(ValueError, match=f"no targets.* Received: `{name}`"):
        getattr(model, loop)(clips(8), **{name: np.ones(8)})


class Pairs(keras.utils.PyDataset):
    """Batches with targets beside them."""

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return clips(8), np.zeros(8)


def test_datasets_with_targets_are_refused(model):
    with pytest.raises(ValueError, match="there are no targets"):
        model.fit(Pairs(), verbose=0)
    with pytest.raises(ValueError, match="there are no targets"):
        model.evaluate(Pairs(), verbose=0)
    model.encode(text=clips(2)["text"])  # On JAX it still has its weights.


@pytest.mark.parametrize(("count", "batch_size"), [(11, 8), (15, 16), (9, 3)])
def test_batches_that_do_not_fall_into_groups_are_refused_before_training(
    model, count, batch_size
):
    before = values_of(model.variables)
    with pytest.raises(ValueError, match="must be a multiple of `num_groups`"):
        model.fit(clips(count), batch_size=batch_size, verbose=0)
    for old, new in zip(before, values_of(model.variables), strict=True):
        np.testing.assert_array_equal(old, new)


def test_arrays_of_different_lengths_are_named(model):
    with pytest.raises(ValueError, match="same number of samples.*'text': 6"):
        model.fit(clips(8) | {"text": clips(6)["text"]}, verbose=0)


def test_batches_that_do_not_fall_into_micro_batches_are_refused_before_training():
    model = model_with(num_micro_batches=4)
    with pytest.raises(ValueError, match="must be a multiple of `num_micro_batches`"):
        model.fit(clips(14), batch_size=8, verbose=0)
    assert int(model.num_steps) == 0


def test_a_split_for_validation_counts_for_the_last_batch(model):
    with pytest.raises(ValueError, match="num_groups=2 and a batch of 3"):
        model.fit(clips(16), batch_size=8, validation_split=0.3, verbose=0)
    model.fit(clips(15), batch_size=8, validation_split=1 / 3, verbose=0)


def test_tensorflow_datasets_that_tell_their_batch_size_are_checked(model):
    import tensorflow as tf

    dataset = tf.data.Dataset.from_tensor_slices(clips(16))
    with pytest.raises(ValueError, match="num_groups=2 and a batch of 5"):
        model.fit(dataset.batch(5, drop_remainder=True), verbose=0)
    for drop_remainder in (True, False):
        batches = dataset.batch(8, drop_remainder=drop_remainder)
        assert np.isfinite(model.fit(batches, verbose=0).history["loss"]).all()


class UnevenBatches(keras.utils.PyDataset):
    """Batches whose sizes are known when they come."""

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return clips(8 - index)


@pytest.mark.parametrize("run_eagerly", [True, False])
def test_no_backend_trains_on_a_batch_that_does_not_fall_into_groups(run_eagerly):
    if BACKEND != "tensorflow" and run_eagerly:
        return  # A graph of TensorFlow alone may not know the sizes of its batches.
    model = model_with(harmonizer="sum", num_groups=2, run_eagerly=run_eagerly)
    with pytest.raises(Exception, match="multiple of|reshape"):
        model.fit(UnevenBatches(), verbose=0, shuffle=False)
    assert int(model.num_steps) == 1


def test_clips_that_are_not_finite_are_named():
    model = model_with(harmonizer="realign")
    batch = clips(8)
    batch["video"] = batch["video"].copy()
    batch["video"][5, 0, 0, 0, 0] = np.inf
    batch["video"][6, 0, 0, 0, 0] = np.nan
    for loop in (model.train_on_batch, model.test_on_batch):
        with pytest.warns(UserWarning, match="'video' has .* in clips 5, 6"):
            loop(batch)
    with pytest.warns(UserWarning, match="'video' has .* in clips 5, 6"):
        model.fit(batch, verbose=0)
    with pytest.raises(ValueError, match="'video' must be finite.* clips 5, 6:"):
        model.encode(video=batch["video"])
    with pytest.raises(ValueError, match="'video' must be finite.* clips 5, 6:"):
        model.extract_features("video", batch["video"])


def test_classifiers_refuse_clips_that_are_not_finite():
    classifier = keras_vatt.VATTAudioClassifier(
        model_with().backbone, num_classes=2, name="classifier"
    )
    audio = clips(4)["audio"].copy()
    audio[2, 3] = -np.inf
    labels = np.zeros(4, "int32")
    for loop in (classifier.fit, classifier.evaluate):
        with pytest.raises(ValueError, match=r"'audio' must be finite.* clip 2:"):
            loop(audio, labels, verbose=0)
    with pytest.raises(ValueError, match=r"'audio' must be finite.* clip 2:"):
        classifier.predict(audio, verbose=0)
    validation = (audio, labels)
    with pytest.raises(ValueError, match=r"'audio' must be finite.* clip 2:"):
        classifier.fit(audio[:2], labels[:2], validation_data=validation, verbose=0)


def test_raw_clips_that_are_not_finite_are_named():
    preprocessor = keras_vatt.VATTPreprocessor.from_clip_spec(
        keras_vatt.data.ClipSpec(4, 8.0, 8, 1_600, 96)
    )
    good = (np.zeros(200, "float32"), 1_600)
    bad = (np.full(200, np.nan, "float32"), 1_600)
    with pytest.raises(ValueError, match="Clip 1: .*finite samples"):
        preprocessor({"audio": [good, bad]})
    classifier = keras_vatt.VATTAudioClassifier(
        model_with().backbone, num_classes=2, preprocessor=preprocessor
    )
    with pytest.raises(ValueError, match="Clip 2: .*finite samples"):
        classifier.predict([good, good, bad], verbose=0)


def test_one_list_of_names_fits_what_each_loop_returns():
    model = model_with(harmonizer="realign")
    for loop in ("train_on_batch", "test_on_batch", "evaluate"):
        arguments = {"verbose": 0} if loop == "evaluate" else {}
        model.reset_metrics()
        numbers = getattr(model, loop)(clips(8), **arguments)
        named = dict(zip(model.metrics_names, numbers, strict=False))
        assert {"loss", "video_audio_loss", "video_text_loss"} <= set(named)
        total = (named["video_audio_loss"] + named["video_text_loss"]) / 2
        assert float(named["loss"]) == pytest.approx(float(total), rel=1e-6)
        if loop == "train_on_batch":
            assert len(numbers) == len(model.metrics_names)
            assert -1 <= float(named["gradient_cosine"]) <= 1
            assert float(named["nonfinite_rate"]) == 0
