"""The preprocessor gives what the model takes, and says what a clip is."""

import keras
import numpy as np
import pytest

import keras_vatt
from keras_vatt.data import ClipSpec
from tests.models.tiny import tiny_vatt


def test_inputs_come_out_as_the_model_takes_them():
    tokenizer = keras_vatt.VATTTokenizer.from_captions(["a red star"])
    inputs = keras_vatt.VATTPreprocessor(tokenizer)(
        {
            "video": np.zeros((2, 4, 32, 32, 3), np.uint8),
            "audio": [[0.0] * 100, [1.0] * 100],
            "text": [["a star", "red"], ["a", "star"]],
        }
    )
    shapes = {name: array.shape for name, array in inputs.items()}
    assert shapes == {
        "video": (2, 4, 32, 32, 3),
        "audio": (2, 100, 1),
        "text": (2, 2, 16),
    }
    assert inputs["audio"].dtype == np.float32


@pytest.mark.parametrize(
    ("name", "shape"), [("video", (4, 32, 32, 3)), ("audio", (100,))]
)
def test_inputs_without_the_axis_of_clips_are_refused(name, shape):
    with pytest.raises(ValueError, match=f"'{name}' must have"):
        keras_vatt.VATTPreprocessor()({name: np.zeros(shape)})


def test_text_without_vocabulary_is_refused():
    with pytest.raises(ValueError, match="no vocabulary"):
        keras_vatt.VATTPreprocessor()({"text": ["a star"]})


def test_it_says_what_a_clip_is():
    clip = ClipSpec(num_frames=8, sampling_rate=16_000)
    spec = keras_vatt.VATTPreprocessor.from_clip_spec(clip).clip_spec
    assert spec == clip
    assert spec.audio_samples == 12_800


def test_a_model_takes_a_preprocessor_after_it_was_made(tmp_path):
    tokenizer = keras_vatt.VATTTokenizer.from_captions(["a red star"])
    model = tiny_vatt()
    model.preprocessor = keras_vatt.VATTPreprocessor(tokenizer)
    expected = model.encode(text=tokenizer(["red star"]))["text"]["to_video"]
    np.testing.assert_array_equal(
        model.encode(text="red star")["text"]["to_video"], expected
    )
    model.save_to_preset(tmp_path / "preset")
    again = keras_vatt.VATT.from_preset(tmp_path / "preset")
    np.testing.assert_array_equal(
        again.encode(text="red star")["text"]["to_video"], expected
    )


def test_a_preprocessor_comes_back_from_its_config_and_in_a_saved_model(tmp_path):
    tokenizer = keras_vatt.VATTTokenizer.from_captions(["a red star"])
    clip = ClipSpec(num_frames=8, audio_samples=100)
    preprocessor = keras_vatt.VATTPreprocessor.from_clip_spec(clip, tokenizer)
    config = keras.saving.serialize_keras_object(preprocessor)
    again = keras.saving.deserialize_keras_object(config)
    model = tiny_vatt()
    model = keras_vatt.VATT(model.backbone, model.bridge_head, preprocessor)
    model.save(tmp_path / "model.keras")
    saved = keras.saving.load_model(tmp_path / "model.keras").preprocessor
    for other in (again, saved):
        assert other.clip_spec == preprocessor.clip_spec
        words = {"text": ["a star"]}
        np.testing.assert_array_equal(other(words)["text"], preprocessor(words)["text"])
