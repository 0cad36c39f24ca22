"""Rematerialization with consistent random numbers and state."""

import keras

from keras_vatt._keras_internals import all_layers
from keras_vatt.layers._inner_call import ON_TORCH

if ON_TORCH:
    from keras_vatt.layers._torch_operations import remat
else:
    remat = keras.remat


def rematerialized(layer):
    """Wraps a layer so that its activations are recomputed in the backward pass.

    With `keras.remat` alone, dropout layers would draw new seeds in the second run of
    the layer, and on JAX the new values of the seeds would leak out of the traced
    function. Here the seeds are drawn once, outside of the function, and the weights
    are arguments of it. So the second run repeats the first one exactly on every
    backend.

    Args:
        layer: a built `keras.layers.Layer`. Its only state is weights and seed
            generators, and it uses each generator at most once per call.

    Returns:
        A function with the call arguments of a
        `keras_vatt.layers.TransformerBlock`.
    """
    generators = [
        sublayer.seed_generator
        for sublayer in all_layers(layer)
        if getattr(sublayer, "seed_generator", None) is not None
    ]
    weights = layer.weights

    def call(
        x, attention_mask=None, attention_bias=None, training=None, num_queries=None
    ):
        seeds = [(generator.state, generator.next()) for generator in generators]

        def forward(x, attention_bias, *weight_values):
            mapping = [*zip(weights, weight_values, strict=True), *seeds]
            with keras.StatelessScope(state_mapping=mapping):
                return layer(
                    x,
                    attention_mask=attention_mask,
                    attention_bias=attention_bias,
                    training=training,
                    num_queries=num_queries,
                )

        def forward_without_bias(x, *weight_values):
            return forward(x, None, *weight_values)

        values = [keras.ops.convert_to_tensor(weight) for weight in weights]
        if attention_bias is None:
            return remat(forward_without_bias)(x, *values)
        return remat(forward)(x, attention_bias, *values)

    return call
