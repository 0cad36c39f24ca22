"""Zero-shot classification by the similarity of clips and label texts."""

import numpy as np
import pytest

import keras_vatt
from keras_vatt.layers import JointBridgeHead
from tests.models.classifiers import SPEC, raw_clips, tiny_classifier
from tests.models.tiny import tiny_vatt

LABELS = ["red star", "blue {} circle", "wave"]


def model_with_words(bridge_head=None):
    model = tiny_vatt(bridge_head=bridge_head)
    words = keras_vatt.VATTTokenizer.from_captions(
        ["a red star", "the blue circle", "a wave"], sequence_length=5
    )
    preprocessor = keras_vatt.VATTPreprocessor.from_clip_spec(SPEC, words)
    return keras_vatt.VATT(model.backbone, model.bridge_head, preprocessor)


@pytest.fixture(scope="module")
def model():
    return model_with_words()


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def expected_probabilities(clips, prompts, temperature=0.07):
    """Computes them from `(clips, windows, dim)` and `(labels, templates, dim)`."""
    clips = unit(clips.astype(np.float64).mean(axis=1))
    labels = unit(unit(prompts.astype(np.float64)).mean(axis=1))
    exponentials = np.exp(clips @ labels.T / temperature)
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def test_probabilities_are_the_softmax_of_cosines(model):
    clips = raw_clips("video", 3)
    templates = ("{}", "a {}")
    prompts = [text for label in LABELS for text in (label, f"a {label}")]
    words = model.encode(text=prompts)["text"]["to_video"].reshape(3, 2, -1)
    windows = model.preprocessor({"video": clips}, 2, 3)["video"]
    video = model.encode(video=windows)["video"]["to_text"].reshape(3, 6, -1)
    actual = keras_vatt.zero_shot_classify(
        model, LABELS, video=clips, templates=templates, num_windows=2, num_crops=3
    )
    np.testing.assert_allclose(
        actual, expected_probabilities(video, words), rtol=1e-4, atol=1e-6
    )
    best = keras_vatt.zero_shot_classify(
        model,
        LABELS,
        video=windows,
        templates=templates,
        top_k=2,
    )
    assert len(best) == 18
    assert all(name in LABELS for row in best for name, _ in row)
    assert all(row[0][1] >= row[1][1] and len(row) == 2 for row in best)


def test_audio_is_compared_with_text_in_a_joint_space():
    model = model_with_words(JointBridgeHead(8, name="bridge_head"))
    sounds = raw_clips("audio", 2)
    words = model.encode(text=LABELS)["text"]["to_video"][:, None]
    audio = model.encode(audio=sounds)["audio"]["to_video"][:, None]
    actual = keras_vatt.zero_shot_classify(model, LABELS, audio=sounds, temperature=1.0)
    expected = expected_probabilities(audio, words, temperature=1.0)
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-6)


def test_audio_needs_a_joint_space(model):
    with pytest.raises(ValueError, match="JointBridgeHead"):
        keras_vatt.zero_shot_classify(model, LABELS, audio=raw_clips("audio", 1))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"video": None}, "exactly one of"),
        ({"audio": ["sound.wav"]}, "exactly one of"),
        ({"label_texts": "red star"}, "list of strings"),
        ({"label_texts": []}, "list of strings"),
        ({"label_texts": ["red", "Zebra!"]}, r"no word of.*'Zebra!'"),
        ({"templates": "a {}"}, "templates"),
        ({"templates": ("a star",)}, "templates"),
        ({"temperature": 0.0}, "temperature"),
        ({"top_k": 0}, "top_k"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(model, arguments, message):
    given = {"label_texts": LABELS, "video": raw_clips("video", 1)} | arguments
    with pytest.raises(ValueError, match=message):
        keras_vatt.zero_shot_classify(model, **given)


def test_models_without_text_or_vocabulary_are_refused(model):
    with pytest.raises(ValueError, match=r"needs a keras_vatt\.VATT"):
        keras_vatt.zero_shot_classify(
            tiny_classifier("video"), LABELS, video=raw_clips("video", 1)
        )
    with pytest.raises(ValueError, match="no vocabulary"):
        keras_vatt.zero_shot_classify(
            tiny_vatt(), LABELS, video=np.zeros((1, 4, 8, 8, 3), "float32")
        )
