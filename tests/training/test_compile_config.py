"""A saved model is compiled again as it was, argument by argument."""

import keras
import pytest

from keras_vatt import losses
from tests.models.tiny import tiny_vatt

pytestmark = pytest.mark.once

ARGUMENTS = {
    "group_by": "anchors",
    "jit_compile": False,
    "loss_weights": {"video_audio": 3.0, "video_text": 1.0},
    "num_groups": 4,
    "num_micro_batches": 2,
    "run_eagerly": True,
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_config_has_each_argument_and_compiles_with_it(name):
    model, again = tiny_vatt("flat"), tiny_vatt()
    model.compile(harmonizer="realign", **{name: ARGUMENTS[name]})
    config = model.get_compile_config()
    assert config[name] == ARGUMENTS[name]
    again.compile_from_config(config)
    assert again.get_compile_config() == config


def test_config_has_the_loss_and_its_temperature():
    model, again = tiny_vatt("flat"), tiny_vatt()
    model.compile(loss=losses.SymmetricNCE(temperature=0.2))
    again.compile_from_config(model.get_compile_config())
    loss = keras.saving.deserialize_keras_object(again.get_compile_config()["loss"])
    assert isinstance(loss, losses.SymmetricNCE)
    assert loss.temperature == 0.2


def test_saved_model_keeps_groups_and_micro_batches(tmp_path):
    model = tiny_vatt("flat")
    arguments = {"num_groups": 2, "group_by": "anchors", "num_micro_batches": 4}
    model.compile(harmonizer="realign", **arguments)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    config = again.get_compile_config()
    assert {name: config[name] for name in arguments} == arguments


def test_model_without_compile_has_no_config():
    assert tiny_vatt("flat").get_compile_config() is None
