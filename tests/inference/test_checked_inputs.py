"""Every entry point refuses batches that the model would misinterpret."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch

import keras_vatt
from tests.models.classifiers import SPEC, picture_bytes, raw_clip, tiny_classifier
from tests.models.tiny import tiny_batch, tiny_vatt

WORDS = "word ids from 0 to 19: its vocabulary has 20 words. Received: the word id {}"


@pytest.fixture(scope="module")
def model():
    words = keras_vatt.VATTTokenizer.from_captions(["a star"])
    model = tiny_vatt()
    model.preprocessor = keras_vatt.VATTPreprocessor.from_clip_spec(SPEC, words)
    model.compile("adam")
    return model


@pytest.fixture(scope="module")
def classifier():
    return tiny_classifier("audio", num_classes=2)


def batch_with(modality, values):
    return tiny_batch(4) | {modality: values}


def words_with(wrong):
    words = tiny_batch(4)["text"]
    words[2, 1, 0] = wrong
    return words


ENTRY_POINTS = {
    "encode": lambda m, kind, x: m.encode(**{kind: x}),
    "extract_features": lambda m, kind, x: m.extract_features(kind, x),
    "fit": lambda m, kind, x: m.fit(batch_with(kind, x), verbose=0),
    "validation_data": lambda m, kind, x: m.fit(
        tiny_batch(4), validation_data=batch_with(kind, x), verbose=0
    ),
    "evaluate": lambda m, kind, x: m.evaluate(batch_with(kind, x), verbose=0),
    "predict": lambda m, kind, x: m.predict({kind: x}, verbose=0),
    "train_on_batch": lambda m, kind, x: m.train_on_batch(batch_with(kind, x)),
    "test_on_batch": lambda m, kind, x: m.test_on_batch(batch_with(kind, x)),
    "predict_on_batch": lambda m, kind, x: m.predict_on_batch({kind: x}),
    "call": lambda m, kind, x: m({kind: keras.ops.convert_to_tensor(x)}),
    "backbone": lambda m, kind, x: m.backbone({kind: x}),
    "backbone.predict": lambda m, kind, x: m.backbone.predict({kind: x}, verbose=0),
    "tower": lambda m, kind, x: m.tower(kind, CLIPS[kind]).predict(x, verbose=0),
}
CLIPS = {"video": (4, 8, 8, 3), "audio": (96, 1), "text": (5,)}


@pytest.mark.parametrize("entry_point", ENTRY_POINTS)
@pytest.mark.parametrize("wrong", [20, -1])
def test_word_ids_beyond_the_vocabulary_are_named(model, entry_point, wrong):
    with pytest.raises(ValueError, match=WORDS.format(wrong)):
        ENTRY_POINTS[entry_point](model, "text", words_with(wrong))


VIDEO, AUDIO = tiny_batch(4)["video"], tiny_batch(4)["audio"]
WRONG = {
    "video-255": ("video", VIDEO * 127.5 + 127.5, "values from"),
    "video-int64": ("video", VIDEO.astype("int64"), "int(32|64)"),
    "video-channels-first": ("video", np.moveaxis(VIDEO, -1, 2), "moveaxis.batch, 2,"),
    "video-channels-second": ("video", np.moveaxis(VIDEO, -1, 1), "moveaxis.batch, 1,"),
    "audio-16-bit": ("audio", AUDIO * 32_768, "Divide samples"),
    "audio-int16": ("audio", (AUDIO * 32_767).astype("int16"), "int16"),
    "audio-channels-first": ("audio", np.moveaxis(AUDIO, -1, 1), "moveaxis.batch, 1,"),
    "audio-stereo": ("audio", np.repeat(AUDIO, 2, axis=-1), "Average the channels"),
    "audio-2-samples": (
        "audio",
        np.repeat(np.moveaxis(AUDIO, -1, 1), 2, axis=1),
        "Average the channels",
    ),
}


@pytest.mark.parametrize("entry_point", ENTRY_POINTS)
@pytest.mark.parametrize("wrong", WRONG)
def test_batches_of_other_scales_and_layouts_are_refused(model, entry_point, wrong):
    modality, batch, message = WRONG[wrong]
    with pytest.raises(ValueError, match=f"A batch of {modality} .*{message}"):
        ENTRY_POINTS[entry_point](model, modality, batch)


@pytest.mark.parametrize("wrong", [name for name in WRONG if "audio" in name])
@pytest.mark.parametrize("loop", ["fit", "evaluate", "predict", "train_on_batch"])
def test_classifiers_refuse_the_same_batches(classifier, loop, wrong):
    _, batch, message = WRONG[wrong]
    labels = () if loop == "predict" else (np.zeros(4, int),)
    if not classifier.compiled:
        classifier.compile()
    with pytest.raises(ValueError, match=f"A batch of audio .*{message}"):
        getattr(classifier, loop)(batch, *labels)


def test_images_of_another_layout_are_refused():
    model = tiny_classifier("image", preprocessor=None)
    with pytest.raises(ValueError, match="A batch of image .*moveaxis.batch, 1, -1"):
        model.predict(np.zeros((2, 3, 8, 8), np.float32), verbose=0)


def test_frames_from_0_to_1_raise_a_warning(model):
    with pytest.warns(UserWarning, match="no negative value"):
        model.encode(video=VIDEO / 2 + 0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        model.encode(video=VIDEO)
        model.encode(video=np.zeros_like(VIDEO))


class Batches(keras.utils.PyDataset):
    def __init__(self, batches):
        super().__init__()
        self.batches = batches

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        return (self.batches[index],)


def tensorflow_dataset(batches):
    clips = {name: np.concatenate([b[name] for b in batches]) for name in batches[0]}
    return tf.data.Dataset.from_tensor_slices(clips).batch(4)


def torch_loader(batches):
    clips = [
        {name: batch[name][number] for name in batch}
        for batch in batches
        for number in range(4)
    ]
    return torch.utils.data.DataLoader(clips, batch_size=4)


DATASETS = {
    "tf.data": tensorflow_dataset,
    "DataLoader": torch_loader,
    "PyDataset": Batches,
    "generator": lambda batches: ((batch,) for batch in batches),
}
if keras.config.backend() != "torch":
    del DATASETS["DataLoader"]  # There Keras takes none with dicts.


@pytest.mark.parametrize("kind", DATASETS)
def test_batches_of_datasets_are_checked_as_they_come(model, kind):
    good = {"text": tiny_batch(4)["text"]}
    predicted = model.predict(DATASETS[kind]([good, good]), verbose=0)
    expected = np.tile(model.encode(**good)["text"]["to_video"], (2, 1))
    actual = predicted["text"]["to_video"]
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-6)
    with pytest.raises(ValueError, match=WORDS.format(20)):
        model.predict(DATASETS[kind]([good, {"text": words_with(20)}]), verbose=0)
    again = model.encode(**good)["text"]["to_video"]  # On JAX it has its weights.
    np.testing.assert_array_equal(again, expected[: len(again)])


def test_the_weights_are_kept_when_one_loop_after_another_fails(model):
    good, bad = tiny_batch(4), batch_with("text", words_with(20))
    expected = model.encode(**good)
    with pytest.raises(ValueError, match=WORDS.format(20)):
        model.predict(Batches([good, bad]), verbose=0)
    model.encode(**good)
    with pytest.raises(ValueError, match=WORDS.format(20)):
        model.fit(Batches([bad]), verbose=0)
    actual = model.encode(**good)  # On JAX, a step donates the memory of the weights.
    for modality, outputs in expected.items():
        for name, rows in outputs.items():
            np.testing.assert_array_equal(actual[modality][name], rows)


def test_training_and_validation_on_datasets_are_checked(model):
    good, bad = tiny_batch(4), batch_with("text", words_with(20))
    for data, validation in ((Batches([bad]), None), (Batches([good]), Batches([bad]))):
        with pytest.raises(ValueError, match=WORDS.format(20)):
            model.fit(data, validation_data=validation, verbose=0)
    with pytest.raises(ValueError, match=WORDS.format(20)):
        model.evaluate(tensorflow_dataset([good, bad]), verbose=0)
    history = model.fit(Batches([good] * 2), validation_data=Batches([good]), verbose=0)
    assert np.isfinite(history.history["val_loss"]).all()


LABELED = {
    "tf.data": lambda x, y: tf.data.Dataset.from_tensor_slices((x, y)).batch(4),
    "DataLoader": lambda x, y: torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(torch.tensor(x), torch.tensor(y)), batch_size=4
    ),
    "generator": lambda x, y: ((x, y) for _ in range(2)),
}


@pytest.mark.parametrize("wrong", ["audio-16-bit", "audio-int16", "audio-stereo"])
@pytest.mark.parametrize("kind", LABELED)
def test_datasets_of_other_scales_and_layouts_are_refused(classifier, kind, wrong):
    _, batch, message = WRONG[wrong]
    dataset = LABELED[kind](batch, np.zeros(4, int))
    with pytest.raises(ValueError, match=f"A batch of audio .*{message}"):
        classifier.evaluate(dataset, verbose=0)


def test_class_weights_of_a_dataset_count():
    model = tiny_classifier("audio", num_classes=2)
    model.compile(keras.optimizers.SGD(0.0), auto_scale_loss=False)
    data = tf.data.Dataset.from_tensor_slices((AUDIO, [0, 0, 0, 0])).batch(4)
    losses = [
        model.fit(data, class_weight=weights, shuffle=False, verbose=0).history["loss"]
        for weights in (None, {0: 3.0, 1: 1.0})
    ]
    np.testing.assert_allclose(losses[1], np.multiply(losses[0], 3.0), rtol=1e-5)


def test_captions_with_more_words_than_the_model_are_refused():
    captions = [" ".join(chr(97 + n) * 3 for n in range(26))]
    model = tiny_vatt()
    words = keras_vatt.VATTTokenizer.from_captions(captions, sequence_length=5)
    model.preprocessor = keras_vatt.VATTPreprocessor(words)
    last = words.get_vocabulary()[-1]
    for call in (
        lambda: model.encode(text=last),
        lambda: model.extract_features("text", [last]),
    ):
        with pytest.raises(ValueError, match="its vocabulary has 20 words"):
            call()


@pytest.mark.parametrize("given", [5, 0.5, np.float32(1)])
@pytest.mark.parametrize("modality", ["text", "audio", "video"])
def test_a_single_number_is_refused(model, modality, given):
    for entry_point in ("encode", "extract_features"):
        with pytest.raises(ValueError, match=f"A batch of {modality} must be an array"):
            ENTRY_POINTS[entry_point](model, modality, given)


def test_tensors_of_other_frameworks_are_batches(model):
    expected = model.encode(audio=AUDIO)["audio"]["to_video"]
    for given in (
        torch.tensor(AUDIO, requires_grad=True),
        tf.constant(AUDIO),
        AUDIO.astype(">f4"),
    ):
        actual = model.encode(audio=given)["audio"]["to_video"]
        np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-6)


def test_entries_of_datasets_are_raw_clips_in_every_entry_point(model, classifier):
    samples, rate = raw_clip("audio")
    stereo = {"array": np.stack([samples, samples]), "sampling_rate": rate}
    expected = model.encode(audio=(samples, rate))["audio"]["to_video"]
    actual = model.encode(audio=[stereo, stereo])["audio"]["to_video"]
    np.testing.assert_allclose(actual, np.repeat(expected, 2, 0), rtol=0, atol=1e-6)
    features = model.extract_features("audio", stereo, output="to_video")
    np.testing.assert_allclose(features[:, 0], expected, rtol=0, atol=1e-6)
    logits = classifier.predict([stereo, (samples, rate)], verbose=0)
    np.testing.assert_allclose(logits[0], logits[1], rtol=0, atol=1e-6)
    assert classifier.classify(stereo) == classifier.classify([stereo])
    classifier.fit([stereo, stereo], [0, 1], verbose=0)
    assert np.isfinite(classifier.evaluate([stereo, stereo], [0, 1], verbose=0)).all()


def test_images_of_datasets_are_files():
    model, picture = tiny_classifier("image"), picture_bytes(raw_clip("image"))
    entry = {"bytes": picture, "path": "a name alone.png"}
    expected = model.predict(picture, verbose=0)
    np.testing.assert_array_equal(model.predict([entry], verbose=0), expected)
