"""Any Keras callback works, and a saved model trains on."""

import keras
import numpy as np
import pytest

import keras_vatt
from keras_vatt import harmonization as h
from keras_vatt import losses
from keras_vatt.training._harmonized_training import HarmonizedTraining
from tests.models.tiny import NO_RANDOMNESS, tiny_batch, tiny_vatt
from tests.training.steps import flat, model_with, train, values_of


def arrays(num_batches=2):
    batches = [tiny_batch(seed=seed) for seed in range(num_batches)]
    return {name: np.concatenate([b[name] for b in batches]) for name in batches[0]}


def fit(model, *callbacks, epochs=2, **arguments):
    return model.fit(
        arrays(),
        batch_size=8,
        epochs=epochs,
        verbose=0,
        callbacks=callbacks,
        **arguments,
    ).history


def test_logs_of_training_and_validation_reach_the_history():
    history = fit(model_with(harmonizer="realign"), validation_data=arrays())
    assert {"loss", "video_text_loss", "gradient_cosine", "skip_rate"} <= set(history)
    assert {"val_loss", "val_video_audio_loss"} <= set(history)
    assert np.isfinite([history[name] for name in history]).all()


def test_the_best_weights_come_back(tmp_path):
    callbacks = [
        keras.callbacks.EarlyStopping("loss", patience=1, restore_best_weights=True),
        keras.callbacks.ModelCheckpoint(
            tmp_path / "{epoch}.weights.h5", "loss", save_weights_only=True
        ),
        keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}.keras", "loss"),
        keras.callbacks.CSVLogger(tmp_path / "log.csv"),
        keras.callbacks.TerminateOnNaN(),
    ]
    model = model_with("adam", harmonizer="realign")
    fit(model, *callbacks, epochs=3)
    names = {path.name for path in tmp_path.iterdir()}
    assert {"1.weights.h5", "2.keras", "log.csv"} <= names
    other = model_with("adam", seed=5, harmonizer="realign")
    other.load_weights(tmp_path / "1.weights.h5")
    saved = keras.saving.load_model(tmp_path / "1.keras")
    for one, two in zip(other.get_weights(), saved.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_the_learning_rate_can_be_scheduled():
    model = model_with("adam", harmonizer="realign")
    fit(model, keras.callbacks.LearningRateScheduler(lambda epoch, _: 0.5**epoch))
    assert float(model.optimizer.learning_rate) == 0.5


# The cosine is between -1 and 1: steps 0 and 1 are skipped, those from 2 on taken.
LATE = keras.optimizers.schedules.PiecewiseConstantDecay([1], [1.0, -1.0])


def test_an_interrupted_fit_resumes_from_its_backup_at_the_step_of_the_curriculum(
    tmp_path,
):
    class Interrupt(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt

    def backup():
        return keras.callbacks.BackupAndRestore(tmp_path / "backup")

    model = model_with("adam", harmonizer=h.Curriculum(LATE))
    with pytest.raises(KeyboardInterrupt):
        fit(model, backup(), Interrupt())
    assert int(model.optimizer.iterations) == 0
    again = model_with("adam", seed=5, harmonizer=h.Curriculum(LATE))
    history = fit(again, backup())
    assert history["skip_rate"] == [0.0]
    assert int(again.num_steps) == 4
    assert int(again.optimizer.iterations) == 2


def test_a_saved_model_keeps_how_it_was_compiled_and_trains_on(tmp_path):
    chain = h.Chain([h.Curriculum(h.LinearThreshold(-0.9, -0.8, 10)), h.Realignment()])
    arguments = {
        "harmonizer": chain,
        "loss": losses.SymmetricNCE(temperature=0.1),
        "loss_weights": {"video_audio": 2.0, "video_text": 1.0},
        "num_groups": 2,
    }
    model = model_with("adam", **arguments)
    train(model, tiny_batch())
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.get_compile_config() == model.get_compile_config()
    outputs = [m.encode(text=tiny_batch()["text"])["text"] for m in (model, again)]
    np.testing.assert_array_equal(outputs[0]["to_video"], outputs[1]["to_video"])
    for one in (model, again):
        train(one, tiny_batch(seed=1))
    np.testing.assert_allclose(
        flat(values_of(again.trainable_variables)),
        flat(values_of(model.trainable_variables)),
        rtol=1e-5,
        atol=1e-6,
    )


def test_the_curriculum_resumes_where_it_was_saved(tmp_path):
    model = model_with("adam", harmonizer=h.Curriculum(LATE))
    train(model, tiny_batch(), tiny_batch())
    assert int(model.optimizer.iterations) == 0
    model.save(tmp_path / "model.keras")
    model.save_weights(tmp_path / "model.weights.h5")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    with_weights = model_with("adam", seed=5, harmonizer=h.Curriculum(LATE))
    with_weights.load_weights(tmp_path / "model.weights.h5")
    model.compile("adam", harmonizer=h.Curriculum(LATE))
    for again in (loaded, with_weights, model):
        assert int(again.num_steps) == 2
        assert train(again, tiny_batch())["skip_rate"] == 0
        assert int(again.num_steps) == 3


def test_weights_of_an_earlier_version_load(tmp_path, monkeypatch):
    model = model_with()
    with monkeypatch.context() as patch:
        patch.delattr(HarmonizedTraining, "save_own_variables")
        model.save_weights(tmp_path / "model.weights.h5")
    again = model_with(seed=5)
    again.num_steps.assign(7)
    again.load_weights(tmp_path / "model.weights.h5")
    assert int(again.num_steps) == 7
    for one, two in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.skipif(
    keras.config.backend() == "jax",
    reason="JAX has no attention in float16 on a CPU",
)
def test_a_saved_model_keeps_that_its_loss_is_not_scaled(tmp_path):
    model = model_with("adam", dtype="mixed_float16", auto_scale_loss=False)
    model.optimizer.iterations.assign(14)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert isinstance(again.optimizer, keras.optimizers.Adam)
    assert int(again.optimizer.iterations) == 14
    classifier = keras_vatt.VATTAudioClassifier(model.backbone, num_classes=2)
    classifier.compile(auto_scale_loss=False)
    classifier.save(tmp_path / "classifier.keras")
    again = keras.saving.load_model(tmp_path / "classifier.keras")
    assert not isinstance(again.optimizer, keras.optimizers.LossScaleOptimizer)


def test_an_error_in_a_loop_keeps_the_weights(tmp_path):
    model = model_with("adam", harmonizer="realign")
    without_audio = {n: v for n, v in tiny_batch().items() if n != "audio"}
    before = values_of(model.variables)
    for loop in (model.fit, model.evaluate):
        with pytest.raises(ValueError, match="The batch has no 'audio'"):
            loop(without_audio, verbose=0)
    with pytest.raises(ValueError, match="rank"):
        model.backbone.predict({"audio": np.zeros((2, 4))}, verbose=0)

    class Interrupt(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(model, Interrupt())
    for old, new in zip(before, values_of(model.variables), strict=True):
        np.testing.assert_array_equal(old, new)
    model.save_to_preset(tmp_path / "preset")
    assert np.isfinite(fit(model, epochs=1)["loss"]).all()


def test_an_error_in_validation_keeps_what_was_trained():
    model = model_with("adam", harmonizer="realign")
    without_audio = {n: v for n, v in tiny_batch().items() if n != "audio"}
    with pytest.raises(ValueError, match="The batch has no 'audio'"):
        fit(model, validation_data=without_audio)
    assert int(model.optimizer.iterations) == 2
    assert np.isfinite(flat(values_of(model.trainable_variables))).all()


def test_rematerialized_blocks_give_the_same_step():
    weights = []
    for rematerialize in (False, True):
        keras.utils.set_random_seed(0)
        model = tiny_vatt(rematerialize=rematerialize, **NO_RANDOMNESS)
        model.compile("sgd", harmonizer="realign")
        train(model, tiny_batch())
        weights.append(flat(values_of(model.trainable_variables)))
    np.testing.assert_allclose(weights[1], weights[0], rtol=1e-4, atol=1e-5)
