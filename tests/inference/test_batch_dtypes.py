"""Every entry point refuses dtypes that the model would misinterpret."""

import ml_dtypes
import numpy as np
import pytest

import keras_vatt
from keras_vatt.data import ClipSpec
from keras_vatt.data.decoding._raw_clips import raw_frames, raw_waveform
from keras_vatt.inference._batch_dtypes import as_batch
from tests.models.tiny import tiny_backbone, tiny_batch, tiny_vatt

WRONG = {
    "video": ["uint16", "int8", "int32", "int64", "bool", "complex64"],
    "audio": ["int16", "uint8", "int32", "bool", "complex64"],
    "text": ["float32", "float64", "bool", "complex64"],
}
CASES = [(modality, dtype) for modality in WRONG for dtype in WRONG[modality]]


@pytest.fixture(scope="module")
def model():
    return tiny_vatt()


@pytest.fixture(scope="module")
def classifier():
    return keras_vatt.VATTAudioClassifier(tiny_backbone(), num_classes=2)


@pytest.mark.parametrize(("modality", "dtype"), CASES)
def test_encode_refuses_a_batch_of_another_dtype(model, modality, dtype):
    batch = tiny_batch(2)[modality].astype(dtype)
    with pytest.raises(ValueError, match=f"{modality} must be .*{dtype}"):
        model.encode(**{modality: batch})
    with pytest.raises(ValueError, match=f"{modality} must be .*{dtype}"):
        model.extract_features(modality, batch)


@pytest.mark.parametrize(("modality", "dtype"), CASES)
def test_fit_refuses_arrays_of_another_dtype(modality, dtype):
    model = tiny_vatt()
    model.compile("adam")
    batch = tiny_batch(4)
    batch[modality] = batch[modality].astype(dtype)
    for loop in (model.fit, model.evaluate, model.predict):
        with pytest.raises(ValueError, match=f"{modality} must be .*{dtype}"):
            loop(batch, batch_size=4)


@pytest.mark.parametrize("dtype", WRONG["audio"])
def test_a_classifier_refuses_arrays_of_another_dtype(classifier, dtype):
    sound = tiny_batch(4)["audio"].astype(dtype)
    for call in (
        lambda: classifier.fit(sound, [0, 1, 0, 1]),
        lambda: classifier.evaluate(sound, [0, 1, 0, 1]),
        lambda: classifier.predict(sound),
    ):
        with pytest.raises(ValueError, match=f"A batch of audio must be .*{dtype}"):
            call()


@pytest.mark.parametrize(
    "given",
    [
        np.array([None, 3], object),
        [np.zeros((4, 8, 8, 3)), np.zeros((5, 8, 8, 3))],
        {"frames": 3},
        5,
    ],
)
def test_what_makes_no_array_of_numbers_is_refused(model, given):
    with pytest.raises(ValueError, match=r"batch of video|preprocessor"):
        model.encode(video=given)


def test_float16_and_float64_give_what_float32_gives(model):
    batch = tiny_batch(2)
    expected = model.encode(audio=batch["audio"])["audio"]["to_video"]
    for dtype, tolerance in (("float16", 1e-2), ("float64", 1e-6)):
        given = batch["audio"].astype(dtype)
        actual = model.encode(audio=given)["audio"]["to_video"]
        np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance)


def test_word_ids_may_be_integers_of_any_width(model):
    words = tiny_batch(2)["text"]
    expected = model.encode(text=words)["text"]["to_video"]
    for dtype in ("int8", "uint8", "int16", "int64"):
        actual = model.encode(text=words.astype(dtype))["text"]["to_video"]
        np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-6)


def test_lists_of_floats_are_a_batch():
    assert as_batch("audio", [[0.5, 0.25]]).dtype == np.float32


SPEC = ClipSpec(num_frames=2, frame_size=8, sampling_rate=100, audio_samples=100)


@pytest.mark.parametrize(
    "dtype", ["int8", "int16", "int32", "uint8", "uint16", "float64", "float16"]
)
def test_raw_audio_of_any_real_dtype_is_scaled_to_one(dtype):
    wave = 0.5 * np.sin(np.arange(100) / 3)
    kind = np.dtype(dtype)
    samples = wave
    if kind.kind in "iu":
        half = 2.0 ** (8 * kind.itemsize - 1)
        samples = np.round(wave * half) + (half if kind.kind == "u" else 0)
    actual = raw_waveform((samples.astype(dtype), 100), SPEC)[0]
    np.testing.assert_allclose(actual, wave, rtol=0, atol=1e-2)


def test_raw_audio_of_bfloat16_is_float():
    samples = np.full(100, 0.5, ml_dtypes.bfloat16)
    np.testing.assert_array_equal(raw_waveform((samples, 100), SPEC)[0], 0.5)


@pytest.mark.parametrize("dtype", ["complex64", "bool", "U3", "object"])
def test_raw_audio_without_real_samples_is_refused(dtype):
    samples = np.zeros(100).astype(dtype)
    with pytest.raises(ValueError, match="float or integer samples"):
        raw_waveform((samples, 100), SPEC)


@pytest.mark.parametrize(
    "rate", ["100", None, 1j, np.inf, np.nan, -1, 0, True, [1], np.zeros(2)]
)
def test_a_rate_that_is_no_positive_number_is_refused(rate):
    with pytest.raises(ValueError, match="rate of a raw sound|rate of a raw audio"):
        raw_waveform((np.zeros(100), rate), SPEC)


@pytest.mark.parametrize("clip", [5, 1.5, object()])
def test_what_is_no_file_is_refused(clip):
    with pytest.raises(ValueError, match="a path, the bytes of a file"):
        raw_frames(clip, SPEC)


@pytest.fixture(scope="module")
def tokenizer():
    return keras_vatt.VATTTokenizer.from_captions(["a red star"], sequence_length=3)


@pytest.mark.parametrize(
    "captions",
    [5, None, [None], [1.0, "a"], np.array([np.nan]), {"a": 1}, [["a"], ["a", "b"]]],
)
def test_what_is_no_caption_is_refused(tokenizer, captions):
    with pytest.raises(ValueError, match=r"Captions must be strings|same depth"):
        tokenizer(captions)


def test_captions_may_be_arrays_and_bytes(tokenizer):
    expected = tokenizer(["a star", "red"])
    for captions in (
        np.array(["a star", "red"]),
        np.array(["a star", "red"], object),
        [b"a star", b"red"],
        ("a star", "red"),
    ):
        np.testing.assert_array_equal(tokenizer(captions), expected)


def test_an_unknown_input_of_a_preprocessor_is_named(tokenizer):
    preprocessor = keras_vatt.VATTPreprocessor(tokenizer)
    with pytest.raises(ValueError, match="Received: \\['sound'\\]"):
        preprocessor({"sound": np.zeros((1, 100))})
