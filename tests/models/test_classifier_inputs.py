"""Classifiers take raw clips wherever they take arrays, and mean the same."""

import functools
import io

import keras
import numpy as np
import PIL.Image
import pytest

import keras_vatt
from keras_vatt.data import MediaError, MediaSegment
from tests.models.classifiers import (
    picture_bytes,
    raw_clip,
    raw_clips,
    tiny_classifier,
    wav_bytes,
)

KINDS = ("video", "image", "audio")
PER_CLIP = {"video": (4, 3), "image": (1, 3), "audio": (4, 1)}


@pytest.fixture(scope="module")
def models():
    return {kind: tiny_classifier(kind) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_raw_clips_are_predicted_as_the_arrays_that_they_become(kind, models):
    model, clips = models[kind], raw_clips(kind)
    arrays = model.preprocessor({kind: clips})[kind]
    expected = np.asarray(model.predict(arrays, verbose=0))
    # Three batches, of which the last is smaller.
    actual = model.predict(clips, batch_size=2, verbose=0)
    assert actual.shape == (5, 3)
    assert isinstance(actual, np.ndarray)
    np.testing.assert_allclose(actual, expected, atol=1e-5)
    one = model.predict(clips[0], verbose=0)
    np.testing.assert_allclose(one, expected[:1], atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_logits_of_windows_and_crops_are_averaged(kind, models):
    model, clips = models[kind], raw_clips(kind, 3)
    windows, crops = PER_CLIP[kind]
    arrays = model.preprocessor({kind: clips}, windows, crops)[kind]
    logits = np.asarray(model.predict(arrays, verbose=0), np.float64)
    expected = logits.reshape(3, windows * crops, 3).mean(axis=1)
    actual = model.predict(
        clips, batch_size=5, num_windows=windows, num_crops=crops, verbose=0
    )
    np.testing.assert_allclose(actual, expected, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_classify_names_the_most_probable_classes_first(kind, models):
    clips = raw_clips(kind, 2)
    logits = models[kind].predict(clips, verbose=0).astype(np.float64)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    for row, best in zip(probabilities, models[kind].classify(clips, 2), strict=True):
        assert [index for index, _ in best] == list(np.argsort(-row)[:2])
        np.testing.assert_allclose([p for _, p in best], np.sort(row)[::-1][:2])


@pytest.mark.once
def test_classify_uses_the_names_and_the_sigmoid_of_several_classes():
    names = ("bark", "meow", "speech")
    model = tiny_classifier("audio", class_names=names, multi_label=True)
    clip = raw_clip("audio")
    (best,) = model.classify(clip)
    probabilities = 1 / (1 + np.exp(-model.predict(clip, verbose=0).astype("float64")))
    by_name = dict(zip(names, probabilities[0], strict=True))
    assert dict(best) == pytest.approx(by_name)
    values = [probability for _, probability in best]
    assert values == sorted(values, reverse=True)
    with pytest.raises(ValueError, match="top_k"):
        model.classify(clip, top_k=0)


@pytest.mark.once
def test_what_has_no_windows_or_crops_is_refused(models):
    with pytest.raises(ValueError, match="arrays or a dataset"):
        models["audio"].predict(np.zeros((2, 96, 1)), num_windows=2)
    with pytest.raises(ValueError, match="num_crops=3"):
        models["audio"].predict(raw_clip("audio"), num_crops=3)
    with pytest.raises(ValueError, match="num_windows=2"):
        models["image"].predict(raw_clip("image"), num_windows=2)
    with pytest.raises(ValueError, match="list of clips is empty"):
        models["audio"].extract_features("text", np.array([], str))


@pytest.mark.once
def test_raw_clips_without_a_preprocessor_are_refused():
    model = tiny_classifier("video", preprocessor=None)
    with pytest.raises(ValueError, match="no preprocessor"):
        model.predict(raw_clip("video"))


@pytest.fixture
def files(tmp_path):
    """Six audio files, of which the fourth is damaged."""
    paths = [tmp_path / f"{number}.wav" for number in range(6)]
    for number, path in enumerate(paths):
        path.write_bytes(wav_bytes(raw_clip("audio", number)[0]))
    paths[3].write_bytes(b"RIFF" + bytes(100))
    return paths


@pytest.mark.once
def test_with_raise_a_corrupt_file_is_an_error_that_names_it(files, models):
    model, labels = models["audio"], [0, 1, 2, 0, 1, 2]
    good = files[:3], labels[:3]
    calls = [
        functools.partial(model.predict, files, batch_size=2),
        functools.partial(model.evaluate, files, labels, batch_size=1),
        functools.partial(model.fit, files, labels, batch_size=2),
        functools.partial(model.fit, *good, validation_data=(files, labels)),
        functools.partial(model.extract_features, "audio", files),
    ]
    for call in calls:
        with pytest.raises(MediaError, match=r"3.wav"):
            call(on_error="raise")
    # The model keeps the weights that it was trained to before the error.
    assert np.isfinite(model.predict(files[:3], verbose=0)).all()


@pytest.mark.once
def test_files_segments_and_bytes_give_the_same_logits(files, models):
    model, path = models["audio"], files[0]
    expected = model.predict(path, verbose=0)
    given = [str(path), path.read_bytes(), MediaSegment(path, 0.0, 1.0)]
    for logits in model.predict(given, verbose=0):
        np.testing.assert_allclose(logits, expected[0], atol=1e-6)


@pytest.mark.once
def test_features_of_windows_are_those_of_the_backbone(models):
    model, clips = models["video"], raw_clips("video", 3)
    features = model.extract_features("video", clips, num_windows=4, batch_size=4)
    assert features.shape == (3, 4, 16)
    arrays = model.preprocessor({"video": clips}, 4)["video"]
    outputs = model.backbone({"video": arrays}, training=False)["video"]
    expected = keras.ops.convert_to_numpy(outputs["features_pooled"])
    expected = expected.reshape(3, 4, 16)
    np.testing.assert_allclose(features, expected, atol=1e-5)
    of_arrays = model.extract_features("video", arrays)
    np.testing.assert_allclose(of_arrays.reshape(3, 4, 16), expected, atol=1e-5)
    with pytest.raises(ValueError, match="to_text"):
        model.extract_features("video", clips, output="to_text")


@pytest.mark.once
@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_an_image_file_gives_the_logits_of_its_pixels(form, tmp_path, models):
    image = np.zeros((8, 24, 3), np.uint8)
    image[:, 8:16] = (200, 100, 50)
    path = tmp_path / "photo %d.img"  # Nothing of it may be read as a pattern.
    path.write_bytes(picture_bytes(image, form))
    frames = models["image"].preprocessor({"image": [path, str(path)]})["image"]
    assert frames.shape == (2, 8, 8, 3)
    assert np.abs(frames[:, 2:6, 2:6].astype(int) - (200, 100, 50)).max() <= 4
    content = path.read_bytes()
    of_bytes = models["image"].preprocessor({"image": content})["image"]
    np.testing.assert_array_equal(of_bytes, frames[:1])


@pytest.mark.once
def test_images_of_another_size_are_resized_and_batches_pass(models):
    preprocessor = models["image"].preprocessor
    large = np.full((2, 32, 16, 3), 7, np.uint8)
    resized = preprocessor({"image": large})["image"]
    np.testing.assert_array_equal(resized, np.full((2, 8, 8, 3), 7, np.uint8))
    batch = np.zeros((2, 8, 8, 3), np.uint8)
    assert preprocessor({"image": batch})["image"] is batch
    assert models["image"].predict(large, verbose=0).shape == (2, 3)


@pytest.mark.once
@pytest.mark.parametrize(
    ("image", "error"),
    [
        (b"no picture", MediaError),
        ("missing.png", MediaError),
        (np.zeros((8, 8), np.uint8), ValueError),
        ([np.zeros((8, 8, 3), np.float32)], ValueError),
        (({}, 1), ValueError),
    ],
)
def test_what_is_no_image_is_refused(image, error, models):
    with pytest.raises(error):
        models["image"].predict(image, verbose=0)


def test_an_image_is_repeated_to_a_clip_of_one_temporal_patch(models):
    model = models["image"]
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8)
    # At the first row of the positions in time, as in the original code.
    clip = np.repeat(images[:, None], 2, axis=1)
    outputs = model.backbone({"video": clip})["video"]["features_pooled"]
    expected = keras.ops.convert_to_numpy(model.classifier(outputs))
    np.testing.assert_allclose(model.predict(images, verbose=0), expected, atol=1e-5)
    table = model.backbone.video_stem.positions
    first_row = keras.ops.convert_to_numpy(table.tables[0])[0]
    resampled = keras.ops.convert_to_numpy(table._along(0, 1, 3)).ravel()
    np.testing.assert_allclose(resampled, first_row, atol=1e-6)


@pytest.mark.once
def test_the_preprocessor_of_a_preset_makes_any_classifier(tmp_path):
    for kind, name in (("audio", "sound.wav"), ("image", "photo.png")):
        path = tmp_path / name
        data = raw_clip(kind)
        path.write_bytes(wav_bytes(data[0]) if kind == "audio" else picture_bytes(data))
        cls = {
            "audio": keras_vatt.VATTAudioClassifier,
            "image": keras_vatt.VATTImageClassifier,
        }[kind]
        model = cls.from_preset("vatt_tiny_agnostic", num_classes=2)
        assert model.predict(str(path), verbose=0).shape == (1, 2)


@pytest.mark.once
def test_a_photo_is_turned_as_its_camera_was_held(models):
    picture = np.zeros((8, 24, 3), np.uint8)
    picture[:, :12] = 255
    photo = PIL.Image.fromarray(picture)
    exif = photo.getexif()
    exif[0x0112] = 6  # To be turned clockwise: the bright half is the upper one.
    file = io.BytesIO()
    photo.save(file, "JPEG", exif=exif)
    crops = models["image"].preprocessor({"image": file.getvalue()}, num_crops=3)
    upper, _, lower = crops["image"]
    assert upper.min() > 200
    assert lower.max() < 50


@pytest.mark.parametrize("loop", ["predict", "evaluate", "fit"])
def test_a_model_works_after_a_batch_of_a_wrong_shape(loop):
    model = tiny_classifier("audio")
    arrays = model.preprocessor({"audio": raw_clips("audio", 2)})["audio"]
    expected = model.predict(arrays, verbose=0)
    labels = {} if loop == "predict" else {"y": np.zeros(2, int)}
    with pytest.raises(ValueError, match="rank"):
        getattr(model, loop)(np.zeros((2, 96)), verbose=0, **labels)
    np.testing.assert_array_equal(model.predict(arrays, verbose=0), expected)


@pytest.mark.once
@pytest.mark.parametrize("clips", [[], [np.zeros(96, "float32")] * 2])
@pytest.mark.parametrize("loop", ["predict", "evaluate", "fit"])
def test_a_list_that_holds_no_raw_clips_is_refused(clips, loop, models):
    labels = {} if loop == "predict" else {"y": [0] * len(clips)}
    with pytest.raises(ValueError, match="A list must contain raw clips"):
        getattr(models["audio"], loop)(clips, **labels)


@pytest.mark.once
def test_less_than_one_window_is_refused(models):
    with pytest.raises(ValueError, match="must be at least 1"):
        models["audio"].predict(raw_clips("audio", 1), num_windows=0)


def test_the_encoder_is_compiled_once_until_the_weights_are_replaced():
    model, clips = tiny_classifier("audio"), raw_clips("audio", 2)
    expected = model.extract_features("audio", clips)
    cache = model.__dict__["_encoders"]
    arguments = model.backbone, "audio"
    encoder = cache.get(*arguments)
    np.testing.assert_array_equal(model.extract_features("audio", clips), expected)
    assert cache.get(*arguments) is encoder
    model.quantize("int8")
    assert cache.get(*arguments) is not encoder
    quantized = model.extract_features("audio", clips)
    assert 0 < np.abs(quantized - expected).max() < 0.1 * np.abs(expected).max()
