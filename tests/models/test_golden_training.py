"""A training step reproduces the original: losses, gradients, Adam, batch norm."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_vatt.conversion._original_keys import original_key
from keras_vatt.storage._tensor_names import named_variables
from keras_vatt.training import warmup_cosine
from tests.golden_files import golden_arrays
from tests.models.golden_models import PRETRAINING, golden_checkpoint, load_golden_model

SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
SAMPLED_ABOVE, SAMPLED_EVERY = 2500, 53


# float32 noise of gradients that are zero in theory, such as those of key biases.
NOISE = 1e-5


class GradientRecorder(keras.optimizers.Optimizer):
    """Puts the gradient in the place of the weight."""

    def __init__(self):
        super().__init__(learning_rate=0.0)

    def update_step(self, gradient, variable, learning_rate):
        self.assign(variable, gradient)


def without_randomness(folder):
    return load_golden_model(folder, dropout=0.0, token_keep_rate=1.0)


def batch_of(arrays):
    text = arrays["in.text"]
    video = arrays["in.video"]
    return {
        "video": video,
        "audio": arrays["in.audio"],
        "text": text.reshape(len(video), -1, text.shape[-1]),
        "audio_mask": arrays["in.audio_mask"],
        "text_mask": arrays["in.text_mask"],
    }


def weights_by_key(model, layout):
    return {
        original_key(name, layout).removesuffix(SUFFIX): ops.convert_to_numpy(variable)
        for name, variable in named_variables(model).items()
    }


def sampled(array):
    flat = array.reshape(-1)
    return flat[::SAMPLED_EVERY] if flat.size > SAMPLED_ABOVE else array


def load_adam_slots(optimizer, model, layout, checkpoint):
    keys = {
        variable.path: original_key(name, layout).removesuffix(SUFFIX)
        for name, variable in named_variables(model).items()
    }
    for index, variable in enumerate(model.trainable_variables):
        slot = f"{keys[variable.path]}/.OPTIMIZER_SLOT/optimizer/"
        optimizer._momentums[index].assign(checkpoint.read(f"{slot}m{SUFFIX}"))
        optimizer._velocities[index].assign(checkpoint.read(f"{slot}v{SUFFIX}"))


@pytest.mark.parametrize("folder", PRETRAINING)
def test_losses_and_gradients(folder):
    arrays = golden_arrays(f"{folder}/train_step.npz")
    model, layout = without_randomness(folder)
    model.compile(optimizer=GradientRecorder(), harmonizer=None)
    logs = model.train_on_batch(batch_of(arrays), return_dict=True)
    gradients = weights_by_key(model, layout)

    prefix = "loss.bridge_losses/asymmetric_nce/"
    assert abs(logs["video_text_loss"] - arrays[prefix + "vidtxt_loss"]) < 1e-4
    assert abs(logs["video_audio_loss"] - arrays[prefix + "vidaud_loss"]) < 1e-4
    assert abs(logs["loss"] - arrays["loss.total_loss"]) < 1e-4
    keys = [key.removeprefix("grad|") for key in arrays if key.startswith("grad|")]
    assert len(keys) == len(model.trainable_variables)
    for key in keys:
        gradient, expected = gradients[key], arrays[f"grad|{key}"]
        tolerance = 1e-3 * np.abs(expected).max() + NOISE
        np.testing.assert_allclose(
            sampled(gradient), expected, rtol=0, atol=tolerance, err_msg=key
        )
        norm = np.linalg.norm(gradient.astype("float64"))
        expected_norm = arrays[f"grad_norm|{key}"]
        slack = NOISE * np.sqrt(gradient.size)
        assert abs(norm - expected_norm) <= 1e-3 * expected_norm + slack, key


@pytest.mark.parametrize("folder", PRETRAINING)
def test_adam_step_and_batch_norm_statistics(folder):
    arrays = golden_arrays(f"{folder}/train_step.npz")
    model, layout = without_randomness(folder)
    learning_rate = warmup_cosine(warmup_steps=5_000)
    optimizer = keras.optimizers.Adam(learning_rate, epsilon=1e-7)
    model.compile(optimizer=optimizer, harmonizer=None)
    optimizer.build(model.trainable_variables)
    optimizer.iterations.assign(int(arrays["iterations_before"]))
    load_adam_slots(optimizer, model, layout, golden_checkpoint(folder))
    # Adam scales gradients to one, those that are nothing but rounding as well.
    noise = {
        key.removeprefix("grad_norm|")
        for key, norm in arrays.items()
        if key.startswith("grad_norm|") and norm < NOISE * 5
    }
    before = weights_by_key(model, layout)
    model.train_on_batch(batch_of(arrays))
    after = weights_by_key(model, layout)

    assert (
        abs(
            float(learning_rate(int(arrays["iterations_before"])))
            - float(arrays["learning_rate"])
        )
        < 1e-10
    )
    for key, expected in arrays.items():
        kind, _, name = key.partition("|")
        if name in noise:
            continue
        if kind == "after":
            np.testing.assert_allclose(after[name], expected, atol=1e-5, err_msg=name)
        if kind == "step_delta_norm":
            delta = np.linalg.norm(after[name].astype("float64") - before[name])
            rounding = np.spacing(np.abs(after[name]).max()) * np.sqrt(after[name].size)
            assert abs(delta - expected) < 1e-2 * expected + rounding, name
