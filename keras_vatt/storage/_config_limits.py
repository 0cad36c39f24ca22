"""Largest values of the settings in a preset's configs.

They are far above those of the published models (in the comments), and low enough that
neither a model nor one clip for it fills the memory. The number of parameters is also
compared with the weights files; see `check_parameters`.
"""

from keras_vatt import _encoder_options as options

# Any other number is below it.
MAX_NUMBER = 2**31

# Positive integers.
SIZES = {
    "hidden_dim": 2**16,  # 1,024
    "intermediate_dim": 2**18,  # 4,096
    "num_layers": 128,  # 24
    "num_heads": 2**12,  # 16
    "head_dim": 2**14,  # 64
    "projection_dim": 2**16,  # 1,024
    "audio_patch_size": 2**20,  # 128
    "audio_patch_stride": 2**20,  # 128
    "audio_positions": 2**20,  # 1,200
    "text_positions": 2**12,  # 16
    "num_relative_buckets": 2**12,  # 32
    "max_relative_distance": 2**20,  # 64
    "vocabulary_size": 2**24,  # 65,536
    "word_embedding_dim": 2**14,  # 300
    "video_audio_dim": 2**16,  # 512
    "video_text_dim": 2**16,  # 256
    "joint_dim": 2**16,  # 512
    "num_classes": 2**20,  # 700
    "sequence_length": 2**12,  # 16
    "num_frames": 2**12,  # 32
    "frame_size": 2**12,  # 320
    "sampling_rate": 2**20,  # 48,000
    "audio_samples": 2**24,  # 153,600
}

# Lists of three positive integers.
TRIPLES = {"video_patch_size": 2**12, "video_positions": 2**16}

# Numbers from a smallest to a largest value.
RANGES = {
    "dropout": (0.0, 1.0),
    "token_keep_rate": (0.0, 1.0),
    "layer_norm_epsilon": (0.0, 1.0),
    "position_norm_epsilon": (0.0, 1.0),
    "frames_per_second": (1e-3, 1e4),
}

# Strings of a fixed set.
CHOICES = {
    "activation": options.MLP_ACTIVATIONS,
    "projection_activation": options.DENSE_ACTIVATIONS,
    "pooling": options.POOLING,
}

# Arguments that may be in the dict of an encoder.
ENCODER_SETTINGS = (
    *options.ENCODER_SIZES,
    *options.ENCODER_OPTIONS,
    *options.PATCH_ENCODER_OPTIONS,
    *options.TEXT_ENCODER_OPTIONS,
)

# Bytes of the frames of a clip, 4.8 million in the paper.
MAX_CLIP_BYTES = 2**28

# Parameters of a model with random weights, for which there is no file to compare
# with; 432 million in the largest published model.
MAX_RANDOM_PARAMETERS = 2**30

# Words of a tokenizer, 65,536 in the paper, and bytes of the vocabulary file.
MAX_WORDS = 2**20
MAX_VOCABULARY_BYTES = 32_000_000

# Layers with their own dtypes: Keras matches each path as a pattern with every layer.
MAX_POLICIES = 500
