"""XLA's cost of a harmonized step equals the cost model.

With a forward pass of cost 1 and a backward pass of cost 2, the plain step on the sum
of two losses costs 3 times the forward pass of all branches. The harmonized step walks
the video branch, a share f of that forward pass, backward once more: `1 + 2f/3`.
"""

import functools

import keras
import numpy as np
import pytest

import keras_vatt

if keras.config.backend() != "jax":
    pytest.skip("XLA's cost analysis is JAX's", allow_module_level=True)

import jax

# Wide and long enough that matrix products outweigh what grows with neither: the
# combination of the gradients, the optimizer, the pointwise functions.
WIDTH = 192
ENCODER = {
    "hidden_dim": WIDTH,
    "intermediate_dim": 4 * WIDTH,
    "num_layers": 1,
    "num_heads": 4,
    "head_dim": WIDTH // 4,
}
BATCH_SIZE = 4
NUM_WORDS = 4
# Tokens of video and audio, and the share f of video that they give, to 0.02.
SHARES = {0.54: (49, 37), 0.70: (98, 37)}


def vatt(form, num_video, num_audio, harmonizer, **arguments):
    keras.utils.set_random_seed(0)
    inputs = {
        "video_patch_size": (1, 2, 2),
        "audio_patch_size": 4,
        "video_positions": (num_video, 1, 1),
        "audio_positions": num_audio,
        "vocabulary_size": 20,
        "word_embedding_dim": 8,
        "token_keep_rate": 1.0,
    }
    if form == "agnostic":
        backbone = keras_vatt.VATTAgnosticBackbone(
            **ENCODER, **inputs, projection_dim=WIDTH, text_positions=NUM_WORDS
        )
    else:
        encoders = {f"{m}_encoder": ENCODER for m in ("video", "audio", "text")}
        backbone = keras_vatt.VATTSpecificBackbone(**encoders, **inputs)
    bridge_head = keras_vatt.layers.FactorizedBridgeHead(64, 64, name="bridge_head")
    model = keras_vatt.VATT(backbone, bridge_head=bridge_head)
    # The optimizer is in both steps: the cheapest one hides nothing behind itself.
    model.compile(optimizer="sgd", harmonizer=harmonizer, **arguments)
    return model


def zeros_batch(num_video, num_audio):
    return {
        "video": np.zeros((BATCH_SIZE, num_video, 2, 2, 3), "float32"),
        "audio": np.zeros((BATCH_SIZE, 4 * num_audio, 1), "float32"),
        "text": np.ones((BATCH_SIZE, 1, NUM_WORDS), "int32"),
    }


def state_of(model):
    """What Keras' JAX trainer hands to `train_step`."""
    groups = (
        model.trainable_variables,
        model.non_trainable_variables,
        model.optimizer.variables,
        model.metrics_variables,
    )
    return tuple([variable.value for variable in group] for group in groups)


def step_flops(model, batch, train_step=None):
    """FLOPs of the compiled step.

    The quick compilation that the tests ask XLA for changes how machine code is
    made, not the program: the FLOPs are those of default flags to the last one.
    """
    step = jax.jit(train_step or model.train_step)
    return step.lower(state_of(model), batch).compile().cost_analysis()["flops"]


def forward_flops(model, modality, batch):
    """FLOPs of one branch, from its input to its embeddings."""

    def forward(values, batch):
        variables = model.trainable_variables + model.non_trainable_variables
        with keras.StatelessScope(
            state_mapping=list(zip(variables, values, strict=True))
        ):
            return model.branches()[modality](batch)

    trainable, others, *_ = state_of(model)
    return jax.jit(forward).lower(trainable + others, batch).cost_analysis()["flops"]


def video_share(model, batch):
    flops = {m: forward_flops(model, m, batch) for m in ("video", "audio", "text")}
    return flops["video"] / sum(flops.values())


@pytest.mark.parametrize(
    ("form", "share"),
    [("agnostic", 0.7), ("specific", 0.54)],
)
def test_harmonized_step_adds_one_backward_pass_of_the_video_branch(form, share):
    num_video, num_audio = SHARES[share]
    batch = zeros_batch(num_video, num_audio)
    plain = vatt(form, num_video, num_audio, harmonizer=None)
    harmonized = vatt(form, num_video, num_audio, harmonizer="curriculum+realign")
    measured_share = video_share(plain, batch)
    assert measured_share == pytest.approx(share, abs=0.04)
    ratio = step_flops(harmonized, batch) / step_flops(plain, batch)
    # Both ways: far below the floor the analysis would have missed something.
    assert ratio == pytest.approx(1 + 2 * measured_share / 3, abs=0.02)


@pytest.mark.parametrize("num_groups", [2, "per_clip"])
def test_step_that_compares_features_costs_what_a_plain_step_costs(num_groups):
    sizes = ("agnostic", *SHARES[0.54])
    batch = zeros_batch(*SHARES[0.54])
    arguments = {"compare": "features", "num_groups": num_groups}
    own = step_flops(vatt(*sizes, "curriculum+realign", **arguments), batch)
    plain = step_flops(vatt(*sizes, harmonizer=None), batch)
    assert 0.98 * plain < own <= 1.02 * plain


def descent_step(model, state, batch):
    """One step down the gradient of the total loss, as one would write it by hand."""
    trainable, others, *_ = state

    def total_loss(values):
        variables = model.trainable_variables + model.non_trainable_variables
        mapping = list(zip(variables, [*values, *others], strict=True))
        with keras.StatelessScope(state_mapping=mapping):
            outputs = {name: run(batch) for name, run in model.branches().items()}
            return sum(
                loss.weight * jax.numpy.mean(loss.per_sample(outputs, batch))
                for loss in model.branch_losses()
            )

    gradients = jax.grad(total_loss)(trainable)
    return [
        value - 0.01 * gradient
        for value, gradient in zip(trainable, gradients, strict=True)
    ]


@pytest.mark.parametrize("form", ["agnostic", "specific"])
def test_plain_step_costs_what_a_step_by_hand_costs(form):
    num_video, num_audio = SHARES[0.54]
    batch = zeros_batch(num_video, num_audio)
    model = vatt(form, num_video, num_audio, harmonizer=None)
    by_hand = functools.partial(descent_step, model)
    ours, others = step_flops(model, batch), step_flops(model, batch, by_hand)
    assert ours == pytest.approx(others, rel=0.02)
