"""Pre-training with frozen parts: one tower, the backbone, the bridge head, all."""

import keras
import numpy as np
import pytest

import keras_vatt
from tests.models.tiny import tiny_backbone, tiny_batch
from tests.training.steps import loss_gradients, model_with, train, update_of, values_of


def freeze(model, part):
    if part in ("backbone", "bridge_head"):
        getattr(model, part).trainable = False
        return
    for layer in model.backbone.modality_layers(part).values():
        layer.trainable = False


def frozen_model(part, form="specific", **compile_arguments):
    model = model_with(form=form)
    freeze(model, part)
    compile_arguments.setdefault("run_eagerly", keras.config.backend() == "tensorflow")
    model.compile(keras.optimizers.SGD(1.0), **compile_arguments)
    return model


@pytest.mark.parametrize(
    "part",
    [
        "backbone",
        "text",
        *(
            pytest.param(part, marks=pytest.mark.once)
            for part in ("bridge_head", "video", "audio")
        ),
    ],
)
def test_what_is_not_frozen_gets_its_gradient(part):
    batch = tiny_batch()
    whole = model_with(form="specific").trainable_variables
    model = frozen_model(part, harmonizer="sum")
    frozen = model.non_trainable_weights
    assert len(frozen) + len(model.trainable_variables) > len(whole)
    frozen = [v for v in frozen if "moving" not in v.name]
    before = values_of(frozen)
    expected = sum(loss_gradients(model, batch))
    actual = update_of(model, batch)
    distance = np.linalg.norm(actual - expected) / np.linalg.norm(expected)
    assert distance < 5e-4
    for old, new in zip(before, values_of(frozen), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"num_micro_batches": 2},
        {"harmonizer": "realign", "num_groups": 2},
        {"harmonizer": "realign", "num_groups": 2, "group_by": "anchors"},
    ],
    ids=str,
)
def test_each_way_to_compute_a_step_takes_a_frozen_backbone(options):
    model = frozen_model("backbone", form="agnostic", **options)
    before = values_of(model.bridge_head.trainable_variables)
    logs = train(model, tiny_batch())
    assert logs["nonfinite_rate"] == 0
    after = values_of(model.bridge_head.trainable_variables)
    assert all((old != new).any() for old, new in zip(before, after, strict=True))


def test_a_loss_that_reaches_nothing_trainable_has_a_gradient_of_zero():
    model = frozen_model("bridge_head", harmonizer="realign")
    freeze(model, "video")
    freeze(model, "audio")
    model.compile("sgd", harmonizer="realign", run_eagerly=model.run_eagerly)
    logs = train(model, tiny_batch())
    assert logs["video_audio_gradient_norm"] == 0
    assert logs["video_text_gradient_norm"] > 0
    assert np.isnan(logs["gradient_cosine"])
    assert logs["conflict_rate"] == logs["skip_rate"] == 0


def test_a_model_without_anything_trainable_is_refused():
    model = model_with()
    model.trainable = False
    model.compile("sgd")
    with pytest.raises(ValueError, match="no trainable variables"):
        model.fit(tiny_batch(), verbose=0)


@pytest.mark.parametrize("loop", ["fit", "train_on_batch"])
def test_freezing_needs_another_compile(loop):
    model = model_with("adam", harmonizer="realign")
    freeze(model, "backbone")
    with pytest.raises(ValueError, match="call `compile` again"):
        getattr(model, loop)(tiny_batch())
    model.encode(text=tiny_batch()["text"])


@pytest.mark.once
def test_a_frozen_tower_has_no_dropout_and_no_drop_token():
    random = {"dropout": 0.5, "token_keep_rate": 0.5}
    model = model_with(form="specific", model_args=random)
    freeze(model, "video")
    model.compile("sgd")
    batch = tiny_batch()
    outputs = [model(batch, training=training) for training in (True, False)]
    trained, inferred = (
        {m: keras.ops.convert_to_numpy(o[m]["features_pooled"]) for m in o}
        for o in outputs
    )
    np.testing.assert_array_equal(trained["video"], inferred["video"])
    assert np.abs(trained["audio"] - inferred["audio"]).max() > 0.01
    assert np.abs(trained["text"] - inferred["text"]).max() > 0.01


@pytest.mark.parametrize("part", ["backbone", "bridge_head", "video"])
def test_a_saved_model_stays_frozen_and_keeps_its_optimizer(part, tmp_path):
    model = frozen_model(part)
    model.compile("adam", harmonizer="sum")
    model.optimizer.iterations.assign(5)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    shapes = [[v.shape for v in m.trainable_variables] for m in (model, again)]
    assert shapes[0] == shapes[1]
    assert int(again.optimizer.iterations) == 5
    assert again.get_compile_config() == model.get_compile_config()


def test_a_saved_classifier_stays_frozen_and_keeps_its_optimizer(tmp_path):
    model = keras_vatt.VATTAudioClassifier(tiny_backbone(), num_classes=2)
    model.backbone.audio_stem.trainable = False
    model.compile("adam")
    model.optimizer.build(model.trainable_variables)
    model.optimizer.iterations.assign(5)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert not again.backbone.audio_stem.trainable_variables
    assert len(again.trainable_variables) == len(model.trainable_variables)
    assert int(again.optimizer.iterations) == 5


def test_a_preset_keeps_a_frozen_backbone(tmp_path):
    model = frozen_model("backbone")
    model.save_to_preset(tmp_path / "preset")
    again = keras_vatt.VATT.from_preset(tmp_path / "preset")
    assert not again.backbone.trainable_variables
    assert len(again.trainable_variables) == len(model.trainable_variables)
    again.backbone.trainable = True
    assert again.backbone.trainable_variables


def test_a_frozen_bridge_head_keeps_its_statistics():
    model = frozen_model("bridge_head")
    before = values_of(model.bridge_head.variables)
    train(model, tiny_batch())
    for old, new in zip(before, values_of(model.bridge_head.variables), strict=True):
        np.testing.assert_array_equal(old, new)
