"""The number of forward and backward passes of each branch in a step."""

import collections

import keras
import pytest

from keras_vatt import harmonization
from tests.models.tiny import tiny_batch
from tests.training.steps import model_with, train

BACKEND = keras.config.backend()
MODALITIES = ("video", "audio", "text")
VIDEO_TWICE = {"video": 2, "audio": 1, "text": 1}
FORMS = pytest.mark.parametrize("form", ["agnostic", "specific"])
eager = pytest.mark.skipif(
    BACKEND == "jax",
    reason="JAX walks backward for both losses at once; test_step_flops.py counts",
)


class Passes:
    """Counts the passes through the stem of each modality, its branch's first layer.

    All that goes forward through a branch starts there, and all that goes backward
    through it ends there.
    """

    def __init__(self, model, monkeypatch):
        self.forward = collections.Counter()
        self.backward = collections.Counter()
        for modality in MODALITIES:
            stem = getattr(model.backbone, f"{modality}_stem")
            monkeypatch.setattr(stem, "call", self._counted(modality, stem.call))

    def _counted(self, modality, call):
        def counted_call(inputs, training=None):
            self.forward[modality] += 1
            tokens = call(inputs, training=training)
            return _IDENTITIES[BACKEND](tokens, lambda: self._visit(modality))

        return counted_call

    def _visit(self, modality):
        self.backward[modality] += 1


def _torch_identity(tokens, when_walked_backward):
    tokens.register_hook(lambda gradient: when_walked_backward())
    return tokens


def _tensorflow_identity(tokens, when_walked_backward):
    import tensorflow as tf

    @tf.custom_gradient
    def identity(x):
        def walk_backward(gradient):
            when_walked_backward()
            return gradient

        return tf.identity(x), walk_backward

    return identity(tokens)


_IDENTITIES = {
    "jax": lambda tokens, when_walked_backward: tokens,
    "tensorflow": _tensorflow_identity,
    "torch": _torch_identity,
}


@FORMS
@pytest.mark.parametrize("harmonizer", [None, "realign"])
def test_each_branch_runs_forward_once_a_step(form, harmonizer, monkeypatch):
    model = model_with(form=form, harmonizer=harmonizer)
    passes = Passes(model, monkeypatch)
    train(model, tiny_batch())
    assert passes.forward == dict.fromkeys(MODALITIES, 1)


@eager
@FORMS
def test_harmonized_step_walks_video_backward_twice_and_the_others_once(
    form, monkeypatch
):
    model = model_with(form=form, harmonizer="realign")
    passes = Passes(model, monkeypatch)
    train(model, tiny_batch())
    assert passes.backward == VIDEO_TWICE


@eager
@FORMS
def test_plain_step_walks_each_branch_backward_once(form, monkeypatch):
    model = model_with(form=form, harmonizer=None)
    passes = Passes(model, monkeypatch)
    train(model, tiny_batch())
    assert passes.backward == dict.fromkeys(MODALITIES, 1)


@eager
def test_groups_share_one_forward_pass_and_have_their_own_backward_passes(monkeypatch):
    model = model_with(harmonizer="realign", num_groups=4)
    passes = Passes(model, monkeypatch)
    train(model, tiny_batch(batch_size=8))
    assert passes.forward == dict.fromkeys(MODALITIES, 1)
    assert passes.backward == {m: 4 * count for m, count in VIDEO_TWICE.items()}


@eager
@FORMS
def test_a_loss_gives_no_gradient_to_the_branch_that_it_does_not_use(form, monkeypatch):
    model = model_with(form=form, harmonizer="realign")
    seen = []

    def gradient_gram(gradients, original=harmonization.gradient_gram):
        seen.append(gradients)
        return original(gradients)

    monkeypatch.setattr(harmonization, "gradient_gram", gradient_gram)
    train(model, tiny_batch())
    ((video_audio, video_text),) = seen
    assert _reached(model, video_audio) == {"video", "audio"}
    assert _reached(model, video_text) == {"video", "text"}


def _reached(model, gradients):
    """The modalities of which a variable of their own has a gradient."""
    given = {
        id(variable)
        for variable, gradient in zip(model.trainable_variables, gradients, strict=True)
        if gradient is not None
    }
    own = {m: getattr(model.backbone, f"{m}_stem") for m in MODALITIES}
    return {
        modality
        for modality, stem in own.items()
        if given & {id(variable) for variable in stem.trainable_variables}
    }
