"""Models with a shared trunk and K private heads that `multi_task_step.py` measures."""

import dataclasses

import keras
import numpy as np
from keras import layers, ops

NUM_CLASSES = 10
HEAD_WIDTH = 64


@dataclasses.dataclass(frozen=True)
class Case:
    """The sizes of a model and of a batch.

    Attributes:
        trunk: string, `"convolutional"` or `"transformer"`.
        num_tasks: int, number of heads and losses.
        widths: tuple of ints. Of a convolutional trunk, the channels of its stages; of
            a transformer, the width of its tokens, once for each block.
        size: int, height and width of an image, or the number of tokens.
        batch_size: int.
    """

    trunk: str
    num_tasks: int
    widths: tuple[int, ...]
    size: int
    batch_size: int = 32

    @property
    def input_shape(self):
        """Shape of one example."""
        if self.trunk == "transformer":
            return (self.size, 48)
        return (self.size, self.size, 3)

    @property
    def task_names(self):
        """Names of the outputs, in the order of the losses."""
        return [f"task_{index}" for index in range(self.num_tasks)]


TRUNKS = {
    "convolutional": {"widths": (64, 128, 256), "size": 32},
    "transformer": {"widths": (192,) * 4, "size": 64},
}
QUICK_TRUNKS = {
    "convolutional": {"widths": (8, 8), "size": 8, "batch_size": 4},
    "transformer": {"widths": (16,), "size": 4, "batch_size": 4},
}


def keras_layers(case):
    """Returns the inputs, the features and the outputs of a functional model.

    Args:
        case: `Case`.

    Returns:
        Tuple of a `KerasTensor`, a `KerasTensor`, and a dict from the name of a task to
        the logits of its head.
    """
    inputs = keras.Input(case.input_shape)
    build = _transformer if case.trunk == "transformer" else _convolutions
    features = build(case, inputs)
    outputs = {}
    for name in case.task_names:
        hidden = layers.Dense(HEAD_WIDTH, "relu", name=f"{name}_hidden")(features)
        outputs[name] = layers.Dense(NUM_CLASSES, name=name)(hidden)
    return inputs, features, outputs


def set_fixed_weights(model):
    """Sets weights that are the same on each backend, from a seed of NumPy."""
    random = np.random.default_rng(0)
    values = []
    for weight in model.get_weights():
        if weight.ndim == 1:  # A bias or a scale stays as it is.
            values.append(weight)
            continue
        scale = (2 / np.prod(weight.shape[:-1])) ** 0.5
        values.append((scale * random.normal(size=weight.shape)).astype("float32"))
    model.set_weights(values)


def random_batch(case):
    """Returns the inputs and a dict from the name of a task to its labels."""
    random = np.random.default_rng(1)
    inputs = random.normal(size=(case.batch_size, *case.input_shape))
    labels = {
        name: random.integers(NUM_CLASSES, size=case.batch_size).astype("int32")
        for name in case.task_names
    }
    return inputs.astype("float32"), labels


def _convolutions(case, inputs):
    """Returns the features of two 3 x 3 convolutions per stage, pooled in between.

    On PyTorch, channels come first there: pooling is slow in Keras' default layout.
    """
    x, layout = inputs, "channels_last"
    if keras.config.backend() == "torch":
        x, layout = layers.Permute((3, 1, 2))(x), "channels_first"
    for stage, width in enumerate(case.widths):
        if stage:
            x = layers.AveragePooling2D(2, data_format=layout)(x)
        for index in range(2):
            name = f"convolution_{stage}_{index}"
            x = layers.Conv2D(width, 3, 1, "same", layout, name=name)(x)
            x = layers.ReLU()(x)
    return layers.GlobalAveragePooling2D(layout)(x)


def _transformer(case, inputs):
    x = layers.Dense(case.widths[0], name="stem")(inputs)
    for index, width in enumerate(case.widths):
        x = _block(x, width, f"block_{index}")
    x = layers.LayerNormalization(epsilon=1e-6, name="norm")(x)
    return layers.GlobalAveragePooling1D()(x)


def _block(x, width, name):
    normed = layers.LayerNormalization(epsilon=1e-6, name=f"{name}_norm_1")(x)
    heads = (-1, x.shape[1], width // 16, 16)
    query, key, value = (
        ops.reshape(layers.Dense(width, name=f"{name}_{part}")(normed), heads)
        for part in ("query", "key", "value")
    )
    attended = ops.dot_product_attention(query, key, value)
    attended = ops.reshape(attended, (-1, x.shape[1], width))
    x = x + layers.Dense(width, name=f"{name}_output")(attended)
    normed = layers.LayerNormalization(epsilon=1e-6, name=f"{name}_norm_2")(x)
    hidden = layers.Dense(4 * width, "gelu", name=f"{name}_inner")(normed)
    return x + layers.Dense(width, name=f"{name}_outer")(hidden)
