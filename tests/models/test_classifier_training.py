"""Classifiers compile themselves, train on raw clips, and are saved whole."""

import json

import keras
import numpy as np
import pytest

import keras_vatt
from keras_vatt.inference._clip_reader import ClipReader
from keras_vatt.inference._raw_batches import RawBatches
from keras_vatt.losses import BalancedBinaryCrossentropy, SoftmaxCrossentropy
from keras_vatt.storage import PresetError
from keras_vatt.training import Mixup
from tests.models.classifiers import (
    SPEC,
    raw_clip,
    raw_clips,
    tiny_classifier,
    wav_bytes,
)
from tests.models.tiny import tiny_vatt

LABELS = [0, 2, 1, 2]


def values(variables):
    return [keras.ops.convert_to_numpy(variable.value).copy() for variable in variables]


def softmax_loss(logits, labels, smoothing=0.1):
    logits = logits.astype(np.float64)
    log_probabilities = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    classes = logits.shape[1]
    targets = np.eye(classes)[labels] * (1 - smoothing) + smoothing / classes
    return -(targets * log_probabilities).sum(axis=1)


def test_a_preset_with_a_new_head_trains_on_files(tmp_path):
    paths = [tmp_path / f"{number}.wav" for number in range(3)]
    for number, path in enumerate(paths):
        path.write_bytes(wav_bytes(raw_clip("audio", number)[0]))
    model = keras_vatt.VATTAudioClassifier.from_preset(
        "vatt_tiny_agnostic", num_classes=10
    )
    before = values(model.backbone.audio_stem.trainable_variables)
    history = model.fit(paths, [0, 9, 4], batch_size=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert {"top_1", "top_5"} <= set(history)
    after = values(model.backbone.audio_stem.trainable_variables)
    assert any((a != b).any() for a, b in zip(before, after, strict=True))


def test_training_on_raw_clips_learns_to_tell_them_apart():
    model = tiny_classifier("audio", 2)
    model.compile(keras.optimizers.Adam(0.01))
    quiet, loud = (np.full(96, level, "float32") for level in (0.01, 0.9))
    clips = [(quiet, 8_000), (loud, 8_000)] * 4
    history = model.fit(
        clips, [0, 1] * 4, batch_size=4, epochs=10, validation_data=(clips, [0, 1] * 4)
    ).history
    assert history["val_top_1"][-1] == 1.0
    assert history["loss"][-1] < history["loss"][0]


def test_each_epoch_takes_every_clip_once_with_its_label_and_weight():
    batches = RawBatches(
        ClipReader([np.array([number]) for number in range(7)], np.stack),
        labels=np.arange(7) * 10,
        sample_weight=np.arange(7) * 100,
        batch_size=3,
        shuffle=True,
    )
    orders = []
    for _ in range(3):
        epoch = [batches[index] for index in range(len(batches))]
        columns = zip(*epoch, strict=True)
        order, labels, weights = (np.concatenate(column) for column in columns)
        np.testing.assert_array_equal(labels, order[:, 0] * 10)
        np.testing.assert_array_equal(weights, order[:, 0] * 100)
        assert sorted(order[:, 0]) == list(range(7))
        orders.append(tuple(order[:, 0]))
        batches.on_epoch_end()
    assert len(set(orders)) > 1


def changed_batches(seed, **changes):
    """Two epochs of batches of clips that are told apart by their first number."""
    keras.utils.set_random_seed(seed)
    batches = RawBatches(
        ClipReader(
            list("0123456"),
            lambda clips: np.array([[float(clip), 0.0] for clip in clips]),
            has_files=False,
        ),
        labels=np.eye(7),
        batch_size=3,
        **changes,
    )
    epochs = []
    for _ in range(2):
        parts = [batches[index] for index in range(len(batches))]
        epochs.append([np.concatenate(rows) for rows in zip(*parts, strict=True)])
        batches.on_epoch_end()
    return epochs


def test_clips_are_augmented_differently_in_each_epoch_and_alike_for_a_seed():
    def augmentation(clip, generator):
        return clip + [0.0, generator.uniform(1, 2)]

    (first, labels), (second, _) = changed_batches(0, augmentation=augmentation)
    np.testing.assert_array_equal(first[:, 0], np.arange(7))
    np.testing.assert_array_equal(labels, np.eye(7))
    assert ((first[:, 1] >= 1) & (first[:, 1] < 2)).all()
    assert len(np.unique([first[:, 1], second[:, 1]])) == 14
    again = changed_batches(0, augmentation=augmentation)
    np.testing.assert_array_equal([epoch[0] for epoch in again], [first, second])
    assert np.any(changed_batches(1, augmentation=augmentation)[0][0] != first)


def test_batches_are_mixed_with_their_labels_differently_in_each_epoch():
    (first, labels), (second, _) = changed_batches(0, mixup=Mixup())
    np.testing.assert_allclose(first[:, 0], labels @ np.arange(7), rtol=1e-6)
    assert (labels[:3, 3:] == 0).all()
    assert np.any(first != second)
    (again, _), _ = changed_batches(0, mixup=Mixup())
    np.testing.assert_array_equal(again, first)


@pytest.mark.parametrize("given", ["files", "arrays"])
def test_a_classifier_trains_on_augmented_and_mixed_clips(given):
    model = tiny_classifier("audio")
    clips, seen = raw_clips("audio", 3), []
    if given == "arrays":
        clips = model.preprocessor({"audio": clips})["audio"]

    def augmentation(clip, generator):
        seen.append(clip.shape)
        return clip * generator.uniform(0.5, 1.0)

    history = model.fit(
        clips,
        [0, 1, 2],
        batch_size=3,
        epochs=2,
        augmentation=augmentation,
        mixup=Mixup(),
        verbose=0,
    )
    assert np.isfinite(history.history["loss"]).all()
    assert len(seen) >= 6


def test_what_can_not_be_augmented_or_mixed_is_refused():
    model = tiny_classifier("audio")
    arrays = model.preprocessor({"audio": raw_clips("audio", 3)})["audio"]
    with pytest.raises(ValueError, match="can.t be combined with mixup"):
        model.fit(arrays, [0, 1, 2], sample_weight=np.ones(3), mixup=Mixup())
    batches = RawBatches(ClipReader(arrays, np.stack), labels=np.arange(3))
    with pytest.raises(ValueError, match="pass `y`"):
        model.fit(batches, mixup=Mixup())
    with pytest.raises(ValueError, match="a list or an array"):
        model.fit(batches, [0, 1, 2], mixup=Mixup())


def test_a_change_of_the_trainable_weights_needs_compile():
    model = tiny_classifier("audio")
    arrays = model.preprocessor({"audio": raw_clips("audio", 3)})["audio"]
    model.backbone.trainable = False
    model.fit(arrays, [0, 1, 2], verbose=0)
    model.fit(arrays, [0, 1, 2], verbose=0)
    model.backbone.trainable = True
    with pytest.raises(ValueError, match="call `compile` again"):
        model.fit(arrays, [0, 1, 2], verbose=0)
    model.compile()
    model.fit(arrays, [0, 1, 2], verbose=0)


def test_evaluate_of_either_kind_of_labels_is_loss_and_accuracy():
    model, clips = tiny_classifier("audio", 7), raw_clips("audio", 4)
    logits = model.predict(clips, verbose=0)
    rank = (logits > logits[range(4), LABELS][:, None]).sum(axis=1)
    expected = [
        softmax_loss(logits, LABELS).mean(),
        (rank < 1).mean(),
        (rank < 5).mean(),
    ]
    for labels in (LABELS, np.eye(7)[LABELS]):
        # Of equal sizes: Keras' mean over batches counts them alike.
        actual = model.evaluate(
            clips, labels, batch_size=2, verbose=0, return_dict=True
        )
        np.testing.assert_allclose(
            [actual[name] for name in ("loss", "top_1", "top_5")], expected, rtol=1e-5
        )
    arrays = model.preprocessor({"audio": clips})["audio"]
    again = model.evaluate(arrays, np.array(LABELS), verbose=0)
    np.testing.assert_allclose(again, expected, rtol=1e-5)


def test_clips_of_weight_zero_do_not_count():
    model, clips = tiny_classifier("audio"), raw_clips("audio", 4)
    logits = model.predict(clips, verbose=0)
    weights = [1, 0, 1, 0]
    results = model.evaluate(
        clips, LABELS, sample_weight=weights, verbose=0, return_dict=True
    )
    expected = (softmax_loss(logits, LABELS) * weights).mean()
    np.testing.assert_allclose(results["loss"], expected, rtol=1e-5)


def test_several_classes_a_clip_have_a_loss_and_metrics_of_their_own():
    model = tiny_classifier("audio", 3, multi_label=True)
    labels = np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0], [1, 1, 0]])
    history = model.fit(raw_clips("audio", 4), labels, verbose=0).history
    assert {"loss", "auc", "pr_auc"} == set(history)
    assert isinstance(model.loss, BalancedBinaryCrossentropy)
    bias = np.asarray(tiny_classifier("audio", 5, multi_label=True).classifier.bias)
    np.testing.assert_allclose(1 / (1 + np.exp(-bias)), 1 / 5, rtol=1e-6)
    assert not np.asarray(tiny_classifier("audio", 5).classifier.bias).any()


@pytest.mark.parametrize("kind", ["video", "audio"])
def test_a_frozen_backbone_stays_as_it_is_and_runs_as_in_inference(kind):
    random = {"dropout": 0.5, "token_keep_rate": 0.5}
    model = tiny_classifier(kind, overrides=random)
    model.backbone.trainable = False
    clips = raw_clips(kind, 4)
    arrays = model.preprocessor({kind: clips})[kind]
    training = keras.ops.convert_to_numpy(model(arrays, training=True))
    np.testing.assert_allclose(training, model.predict(clips, verbose=0), atol=1e-5)
    before, head = values(model.backbone.weights), values(model.classifier.weights)
    model.fit(clips, LABELS, epochs=2, verbose=0)
    for old, new in zip(before, values(model.backbone.weights), strict=True):
        np.testing.assert_array_equal(new, old)
    assert all(
        (a != b).any()
        for a, b in zip(head, values(model.classifier.weights), strict=True)
    )
    # Trained again, the backbone has its dropout back.
    model.backbone.trainable = True
    noisy = keras.ops.convert_to_numpy(model(arrays, training=True))
    assert np.abs(noisy - keras.ops.convert_to_numpy(model(arrays))).max() > 1e-3


@pytest.mark.parametrize(
    ("labels", "multi_label", "message"),
    [
        ([0, 1, 3], False, "from 0 to 2"),
        ([0, 1, -1], False, "from -1 to 1"),
        ([0.5, 1, 2], False, "Labels must be classes"),
        (["a", "b", "c"], False, "Labels must be classes"),
        (np.zeros((3, 4)), False, r"shape \(3, 4\)"),
        ([0, 1, 2], True, "row of 3 numbers"),
        (np.full((3, 3), 2), True, "from 2 to 2"),
        ([0, 1], False, "3 clips and"),
        (None, False, "need labels"),
    ],
)
def test_labels_that_do_not_fit_are_refused(labels, multi_label, message):
    model = tiny_classifier("audio", multi_label=multi_label)
    with pytest.raises(ValueError, match=message):
        model.fit(raw_clips("audio", 3), labels)


@pytest.mark.parametrize("names", [("a", "b"), "abc", (1, 2, 3)])
def test_class_names_that_do_not_fit_are_refused(names):
    with pytest.raises(ValueError, match="class_names"):
        tiny_classifier("audio", 3, class_names=names)


@pytest.mark.parametrize("kind", ["video", "image", "audio"])
def test_a_classifier_comes_back_from_a_preset(kind, tmp_path):
    names = ("Hund", "Katze", "Maus, graue")
    model = tiny_classifier(kind, class_names=names, multi_label=True)
    model.save_to_preset(tmp_path / "mine")
    again = type(model).from_preset(tmp_path / "mine")
    assert again.class_names == names
    assert again.multi_label is True
    assert again.preprocessor.clip_spec == model.preprocessor.clip_spec
    clip = raw_clip(kind)
    assert again.classify(clip) == model.classify(clip)
    card = (tmp_path / "mine" / "README.md").read_text()
    assert f"pipeline_tag: {kind}-classification" in card
    assert f"| {kind} |" in card
    assert "model.classify(" in card


def test_a_compiled_classifier_comes_back_from_a_file(tmp_path):
    model = tiny_classifier("audio", class_names=("a", "b", "c"))
    clips = raw_clips("audio", 4)
    model.fit(clips, LABELS, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.class_names == ("a", "b", "c")
    assert again.classify(clips[0]) == model.classify(clips[0])
    assert isinstance(again.loss, SoftmaxCrossentropy)
    results = [m.evaluate(clips, LABELS, verbose=0) for m in (model, again)]
    np.testing.assert_allclose(*results, rtol=1e-6)
    momenta = zip(
        values(model.optimizer.variables),
        values(again.optimizer.variables),
        strict=True,
    )
    for old, new in momenta:
        np.testing.assert_allclose(new, old)


def test_a_preset_keeps_its_head_only_for_the_classes_that_it_has(tmp_path):
    model = tiny_classifier("audio", 3, class_names=("a", "b", "c"), multi_label=True)
    model.save_to_preset(tmp_path / "named")
    folder, cls = tmp_path / "named", type(model)
    head = np.asarray(model.classifier.kernel)
    for asked in ({}, {"num_classes": 3}, {"class_names": ("a", "b", "c")}):
        again = cls.from_preset(folder, **asked)
        np.testing.assert_array_equal(np.asarray(again.classifier.kernel), head)
        assert again.multi_label
    for asked in (
        {"num_classes": 5},
        {"num_classes": 3, "class_names": ("x", "y", "z")},
    ):
        again = cls.from_preset(folder, **asked)
        assert again.num_classes == asked["num_classes"]
        assert again.class_names == asked.get("class_names")
        assert not again.multi_label
        shape = again.classifier.kernel.shape
        assert (
            shape != head.shape or (np.asarray(again.classifier.kernel) != head).any()
        )
        old, new = model.backbone.weights, again.backbone.weights
        for expected, actual in zip(values(old), values(new), strict=True):
            np.testing.assert_array_equal(actual, expected)
    with pytest.raises(PresetError, match="class_names"):
        cls.from_preset(folder, num_classes=4, class_names=("x",))


def test_names_are_given_to_a_head_without_names(tmp_path):
    model = tiny_classifier("audio", 2)
    model.save_to_preset(tmp_path / "mine")
    again = type(model).from_preset(tmp_path / "mine", class_names=("no", "yes"))
    kernels = (np.asarray(m.classifier.kernel) for m in (again, model))
    np.testing.assert_array_equal(*kernels)
    assert {name for name, _ in again.classify(raw_clip("audio"))[0]} == {"no", "yes"}


def test_an_image_classifier_starts_from_any_preset_with_video(tmp_path):
    pretrained = tiny_vatt("specific")
    preprocessor = keras_vatt.VATTPreprocessor.from_clip_spec(SPEC)
    model = keras_vatt.VATT(pretrained.backbone, pretrained.bridge_head, preprocessor)
    model.save_to_preset(tmp_path / "pretrained")
    tiny_classifier("video").save_to_preset(tmp_path / "video")
    images = [
        keras_vatt.VATTImageClassifier.from_preset(tmp_path / name, num_classes=3)
        for name in ("pretrained", "video")
    ]
    assert images[0].backbone.modalities == ("video",)
    history = images[1].fit(raw_clips("image", 4), LABELS, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    tiny_classifier("audio").save_to_preset(tmp_path / "audio")
    with pytest.raises(PresetError, match="needs a backbone with 'video'"):
        keras_vatt.VATTImageClassifier.from_preset(tmp_path / "audio", num_classes=3)


@pytest.mark.parametrize("names", [5, "abc", ["a"], [1, 2, 3], {"a": 1}])
def test_damaged_names_of_classes_in_a_preset_are_refused(names, tmp_path):
    tiny_classifier("audio", 3).save_to_preset(tmp_path / "mine")
    path = tmp_path / "mine" / "task.json"
    task = json.loads(path.read_text())
    task["config"]["class_names"] = names
    path.write_text(json.dumps(task))
    with pytest.raises(PresetError, match="mine"):
        keras_vatt.VATTAudioClassifier.from_preset(tmp_path / "mine")


def test_a_damaged_backbone_in_a_preset_is_refused(tmp_path):
    tiny_classifier("audio", 3).save_to_preset(tmp_path / "mine")
    (tmp_path / "mine" / "config.json").write_text('{"config": 3}')
    with pytest.raises(PresetError):
        keras_vatt.VATTAudioClassifier.from_preset(tmp_path / "mine", num_classes=2)
