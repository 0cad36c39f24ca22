"""Any Keras callback works, and a saved model trains on."""

import keras
import numpy as np
import pytest
from models.tiny import NO_RANDOMNESS, tiny_batch, tiny_vatt
from training.steps import flat, model_with, train, values_of

from keras_vatt import harmonization as h
from keras_vatt import losses


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


def test_an_interrupted_fit_goes_on_from_its_backup(tmp_path):
    class Interrupt(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt

    def backup():
        return keras.callbacks.BackupAndRestore(tmp_path / "backup")

    model = model_with("adam", harmonizer="realign")
    with pytest.raises(KeyboardInterrupt):
        fit(model, backup(), Interrupt())
    again = model_with("adam", seed=5, harmonizer="realign")
    history = fit(again, backup())
    assert len(history["loss"]) == 1
    assert int(again.optimizer.iterations) == 4


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


def test_rematerialized_blocks_give_the_same_step():
    weights = []
    for rematerialize in (False, True):
        keras.utils.set_random_seed(0)
        model = tiny_vatt(rematerialize=rematerialize, **NO_RANDOMNESS)
        model.compile("sgd", harmonizer="realign")
        train(model, tiny_batch())
        weights.append(flat(values_of(model.trainable_variables)))
    np.testing.assert_allclose(weights[1], weights[0], rtol=1e-4, atol=1e-5)
