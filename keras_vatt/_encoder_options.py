"""Names and values of the settings of encoders, for layers, backbones and presets."""

# The activations of the MLP in the original code.
MLP_ACTIVATIONS = ("gelu", "relu", "swish", "geglu")

# Activations of a projection: those that mean the same in Keras 2, which the original
# code uses, and Keras 3.
DENSE_ACTIVATIONS = (
    "gelu",
    "relu",
    "swish",
    "silu",
    "tanh",
    "sigmoid",
    "elu",
    "selu",
    "softplus",
    "softsign",
    "exponential",
    "softmax",
    "linear",
)

# The features of a text: an output of the encoder, or the largest of all outputs.
POOLING = ("aggregation_token", "first_word", "max")

# What the dict of an encoder of `VATTSpecificBackbone` must have, and may have.
ENCODER_SIZES = (
    "hidden_dim",
    "intermediate_dim",
    "num_layers",
    "num_heads",
    "head_dim",
)
ENCODER_OPTIONS = (
    "activation",
    "layer_norm_epsilon",
    "dropout",
    "input_projection",
    "projection_dim",
    "projection_activation",
)
PATCH_ENCODER_OPTIONS = ("use_bias", "normalize_first", "token_keep_rate")
TEXT_ENCODER_OPTIONS = ("num_relative_buckets", "max_relative_distance", "pooling")
