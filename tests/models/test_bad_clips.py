"""A broken file is reported, and all other clips are processed."""

import logging
import warnings

import keras
import numpy as np
import pytest

import keras_vatt
from keras_vatt.data import MediaError, MediaSegment, Problem
from keras_vatt.inference._clip_reader import ClipReader
from keras_vatt.inference._evaluation_batches import EvaluationBatches
from keras_vatt.inference._raw_batches import RawBatches
from tests.models.classifiers import picture_bytes, raw_clip, tiny_classifier, wav_bytes

LABELS = [0, 2, 1, 2, 0, 1, 1]
BROKEN = b"RIFF" + bytes(100)


@pytest.fixture(scope="module")
def model():
    return tiny_classifier("audio", class_names=("a", "b", "c"))


def write_files(folder, broken=(), missing=()):
    """Writes seven audio files, except the missing ones."""
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{number}.wav" for number in range(7)]
    for number, path in enumerate(paths):
        content = (
            BROKEN if number in broken else wav_bytes(raw_clip("audio", number)[0])
        )
        if number not in missing:
            path.write_bytes(content)
    return paths


@pytest.fixture
def files(tmp_path):
    """Seven audio files: 1 is broken, 4 is missing."""
    return write_files(tmp_path / "files", broken=[1], missing=[4])


def without(values, numbers):
    return [value for number, value in enumerate(values) if number not in numbers]


def messages(caplog):
    return [record.getMessage() for record in caplog.records]


def test_predictions_of_broken_files_are_nan_and_the_others_are_unchanged(model, files):
    logits = model.predict(files, batch_size=2, verbose=0)
    expected = model.predict(without(files, [1, 4]), batch_size=2, verbose=0)
    assert np.isnan(logits[[1, 4]]).all()
    np.testing.assert_allclose(logits[[0, 2, 3, 5, 6]], expected, atol=1e-6)


def test_windows_of_broken_files_are_nan(model, files):
    logits = model.predict(files, batch_size=3, num_windows=4, verbose=0)
    np.testing.assert_array_equal(np.isnan(logits).any(axis=1), [0, 1, 0, 0, 1, 0, 0])
    features = model.extract_features("audio", files, num_windows=4, batch_size=3)
    assert features.shape == (7, 4, 16)
    assert np.isnan(features[[1, 4]]).all()
    expected = model.extract_features("audio", files[2], num_windows=4)
    np.testing.assert_allclose(features[2:3], expected, atol=1e-6)


def test_a_broken_file_has_no_classes(model, files):
    classes = model.classify(files, top_k=2)
    assert [len(best) for best in classes] == [2, 0, 2, 2, 0, 2, 2]
    logits = model.predict(files, verbose=0)
    names = np.array(["a", "b", "c"])[np.argsort(-logits[0])]
    assert [name for name, _ in classes[0]] == list(names[:2])


def test_a_broken_image_is_skipped(tmp_path):
    model = tiny_classifier("image")
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    for number, path in enumerate(paths):
        path.write_bytes(picture_bytes(raw_clip("image", number)))
    paths[0].write_bytes(b"no picture")
    logits = model.predict(paths, num_crops=3, verbose=0)
    np.testing.assert_array_equal(np.isnan(logits).all(axis=1), [True, False, False])
    model.fit(paths, [0, 1, 2], batch_size=1, verbose=0)
    assert model.clip_report.count(Problem.CORRUPT) == 1


BROKEN_PLACES = {
    "first": [0],
    "last": [6],
    "a whole batch": [2, 3],
    "so many that there are fewer batches": [3, 4, 5, 6],
    "all but the last": [0, 1, 2, 3, 4, 5],
}


@pytest.mark.parametrize("broken", BROKEN_PLACES.values(), ids=BROKEN_PLACES)
@pytest.mark.parametrize("batch_size", [1, 2])
def test_an_evaluation_is_that_of_the_list_without_broken_files(
    broken, batch_size, tmp_path
):
    model = tiny_classifier("audio")
    model.compile(metrics=["sparse_categorical_accuracy"])
    files = write_files(tmp_path / "files", broken=broken)
    weights = np.arange(1.0, 8.0)
    expected = model.evaluate(
        without(files, broken),
        without(LABELS, broken),
        batch_size=batch_size,
        sample_weight=without(weights, broken),
        verbose=0,
    )
    with warnings.catch_warnings():
        # Keras would warn of data that run out.
        warnings.filterwarnings("error", message="Your input ran out of data")
        actual = model.evaluate(
            files, LABELS, batch_size=batch_size, sample_weight=weights, verbose=0
        )
    np.testing.assert_allclose(actual, expected, rtol=1e-6)
    assert model.clip_report.used == 7 - len(broken)


def test_each_validation_is_that_of_the_list_without_broken_files(tmp_path):
    files = write_files(tmp_path / "files", broken=[3, 4], missing=[5, 6])
    good = [number for number in range(7) if number < 3]
    histories = []
    for chosen in (range(7), good):
        keras.utils.set_random_seed(0)
        model = tiny_classifier("audio")
        data = [files[n] for n in chosen], [LABELS[n] for n in chosen]
        history = model.fit(
            files[:3],
            LABELS[:3],
            batch_size=2,
            epochs=2,
            validation_data=data,
            verbose=0,
        )
        histories.append(history.history)
    assert {"val_loss", "val_top_1", "val_top_5"} <= set(histories[1])
    for name, values in histories[1].items():
        np.testing.assert_allclose(histories[0][name], values, rtol=1e-5)


@pytest.mark.skipif(
    keras.config.backend() == "torch", reason="Keras takes one step on PyTorch"
)
def test_several_steps_in_one_execution_leave_broken_files_out(tmp_path):
    model = tiny_classifier("audio")
    model.compile(steps_per_execution=2)
    files = write_files(tmp_path / "files", broken=[1, 4, 5])
    good = without(files, [1, 4, 5]), without(LABELS, [1, 4, 5])
    expected = model.evaluate(*good, batch_size=2, verbose=0)
    actual = model.evaluate(files, LABELS, batch_size=2, verbose=0)
    np.testing.assert_allclose(actual, expected, rtol=1e-6)


def test_callbacks_of_an_evaluation_are_called_for_its_batches(tmp_path, model):
    files = write_files(tmp_path / "files", broken=[3, 4, 5, 6])
    seen = []
    callback = keras.callbacks.LambdaCallback()
    callback.on_test_batch_end = lambda batch, logs=None: seen.append(batch)
    for callbacks in (callback, [callback]):
        model.evaluate(files, LABELS, batch_size=2, callbacks=callbacks, verbose=0)
    group = keras.callbacks.CallbackList([callback], model=model)
    model.evaluate(files, LABELS, batch_size=2, callbacks=group, verbose=0)
    assert seen == [0, 1] * 3


def test_training_replaces_broken_files_and_keeps_its_shapes(tmp_path):
    model = tiny_classifier("audio")
    files = write_files(tmp_path / "files", broken=[2, 3], missing=[5])
    sizes, call = [], model.call

    def noting(inputs, training=None):
        sizes.append(inputs.shape[0])
        return call(inputs, training=training)

    model.call = noting
    model.compile(run_eagerly=True)
    history = model.fit(files, LABELS, batch_size=3, epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert set(sizes) <= {3, 1}
    assert model.clip_report.used == 4
    assert model.clip_report.counts == {Problem.CORRUPT: 2, Problem.MISSING: 1}


def test_a_replaced_clip_comes_with_its_own_label_and_weight():
    def convert(clips):
        if clips[0] in (2, 3, 6):
            raise MediaError(f"{clips[0]}.wav", Problem.CORRUPT, "is damaged")
        return np.array(clips)[:, None]

    batches = RawBatches(
        ClipReader(list(range(7)), convert, on_error="skip"),
        labels=np.arange(7) * 10,
        sample_weight=np.arange(7) * 100,
        batch_size=3,
        shuffle=True,
    )
    for _ in range(2):
        epoch = [batches[index] for index in range(len(batches))]
        clips, labels, weights = (
            np.concatenate(column) for column in zip(*epoch, strict=True)
        )
        assert [len(batch[0]) for batch in epoch] == [3, 3, 1]
        np.testing.assert_array_equal(labels, clips[:, 0] * 10)
        np.testing.assert_array_equal(weights, clips[:, 0] * 100)
        # 2 and 3 are replaced by 4, and 6 by 0.
        assert sorted(clips[:, 0]) == [0, 0, 1, 4, 4, 4, 5]
        batches.on_epoch_end()


def test_batches_of_an_evaluation_are_the_same_whoever_asked_before():
    def convert(clips):
        if clips[0] % 3 == 0:
            raise MediaError(f"{clips[0]}.wav", Problem.CORRUPT, "is damaged")
        return np.array(clips)

    reader = ClipReader(list(range(10)), convert, on_error="skip")
    batches = EvaluationBatches(reader, np.arange(10) * 10, batch_size=4)
    # Like TensorFlow, which peeks at batches and reads beyond the last one.
    for index in (0, 1, 0, 1, 2, 0, 1):
        clips, labels = batches[index]
        np.testing.assert_array_equal(clips, [[1, 2, 4, 5], [7, 8]][min(index, 1)])
        np.testing.assert_array_equal(labels, clips * 10)
    assert len(batches) == 2


@pytest.mark.parametrize("loop", ["predict", "evaluate", "fit", "extract_features"])
@pytest.mark.parametrize("files", ["broken", "missing"])
def test_if_no_clip_can_be_used_the_first_error_is_raised(loop, files, model, tmp_path):
    paths = write_files(tmp_path / "files", **{files: range(7)})
    expected = model.predict(raw_clip("audio"), verbose=0)
    arguments = {
        "predict": (paths,),
        "evaluate": (paths, LABELS),
        "fit": (paths, LABELS),
        "extract_features": ("audio", paths),
    }[loop]
    with pytest.raises(MediaError, match=r"0\.wav"):
        getattr(model, loop)(*arguments, batch_size=2)
    # The model still has its weights.
    np.testing.assert_array_equal(model.predict(raw_clip("audio"), verbose=0), expected)


def test_a_single_broken_file_is_an_error(model, files):
    for clip in (files[1], [files[1]], files[4], MediaSegment(files[4], 0.0, 1.0)):
        with pytest.raises(MediaError, match=r"files/[14]\.wav"):
            model.predict(clip, verbose=0)


def test_a_broken_file_is_logged_once_with_its_reason(model, files, caplog):
    with caplog.at_level(logging.WARNING):
        model.fit(
            files,
            LABELS,
            batch_size=2,
            epochs=3,
            validation_data=(files[2:4], LABELS[2:4]),
            verbose=0,
        )
    missing, broken, count = messages(caplog)
    assert missing == f"1 of 7 files are missing and skipped: {files[4]}"
    assert broken.startswith(f"Clip 1 is skipped: {files[1]}: cannot be decoded")
    assert count == "2 of 9 clips were skipped: see `clip_report` of the model."
    report = model.clip_report
    assert report.used == 7
    assert [finding.where for finding in report.findings] == [
        str(files[1]),
        str(files[4]),
    ]
    assert "corrupt (skipped): 1" in str(report)


def test_missing_files_are_named_before_anything_is_decoded(model, tmp_path, caplog):
    files = write_files(tmp_path / "files", missing=range(6))
    seen = []
    callback = keras.callbacks.LambdaCallback(
        on_train_begin=lambda logs: seen.extend(messages(caplog))
    )
    model.fit(files, LABELS, batch_size=2, callbacks=[callback], verbose=0)
    names = ", ".join(map(str, files[:5]))
    assert seen == [f"6 of 7 files are missing and skipped: {names}, ..."]
    with pytest.raises(MediaError) as caught:
        model.fit(files, LABELS, on_error="raise")
    assert caught.value.problem is Problem.MISSING
    others = ", ".join(map(str, files[1:5]))
    assert str(caught.value) == (
        f"{files[0]}: does not exist, nor do 5 others: {others}, ..."
    )


def test_a_report_names_bytes_by_their_number(model):
    model.predict([raw_clip("audio"), BROKEN], verbose=0)
    (finding,) = model.clip_report.findings
    assert finding.where == "clip 1"
    model.predict([raw_clip("audio")], verbose=0)
    assert model.clip_report.findings == ()
    assert model.clip_report.used == 1


@pytest.mark.parametrize("loop", ["predict", "evaluate", "fit"])
def test_a_mistake_of_the_caller_is_raised_though_files_are_skipped(loop, model, files):
    clips = [*files[:6], (np.zeros((2, 2, 2), "float32"), 8_000)]
    labels = [] if loop == "predict" else [LABELS]
    with pytest.raises(ValueError, match="Clip 6"):
        getattr(model, loop)(clips, *labels, batch_size=2, verbose=0)


def test_an_unknown_rule_is_refused(model, files):
    with pytest.raises(ValueError, match="`on_error` must be"):
        model.predict(files, on_error="ignore")


def test_embeddings_of_broken_clips_are_nan(files):
    model = keras_vatt.VATT.from_preset("vatt_tiny_agnostic")
    encoded = model.encode(audio=files, text=["a red star"], batch_size=3)
    assert set(encoded) == {"audio", "text"}
    for values in encoded["audio"].values():
        assert len(values) == 7
        assert np.isnan(values[[1, 4]]).all()
        assert np.isfinite(values[[0, 2, 3, 5, 6]]).all()
    problems = [Problem.SHORT, Problem.CORRUPT, Problem.SHORT, Problem.SHORT]
    problems += [Problem.MISSING, Problem.SHORT, Problem.SHORT]
    assert [finding.problem for finding in model.clip_report.findings] == problems
    alone = model.encode(audio=files[0])["audio"]["to_video"]
    np.testing.assert_allclose(encoded["audio"]["to_video"][:1], alone, atol=1e-5)
    with pytest.raises(MediaError, match=r"4\.wav"):
        model.encode(audio=files, on_error="raise")


def test_a_broken_video_has_no_probabilities_of_labels(tmp_path):
    model = keras_vatt.VATT.from_preset("vatt_tiny_agnostic")
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    clips = [broken, (np.zeros((40, 8, 8, 3), np.uint8), 10.0)]
    labels = ["a red star", "a blue circle"]
    values = keras_vatt.zero_shot_classify(model, labels, video=clips)
    assert np.isnan(values[0]).all()
    np.testing.assert_allclose(values[1].sum(), 1.0)
    best = keras_vatt.zero_shot_classify(model, labels, video=clips, top_k=1)
    assert [len(row) for row in best] == [0, 1]
    with pytest.raises(MediaError, match="broken"):
        keras_vatt.zero_shot_classify(model, labels, video=clips, on_error="raise")
