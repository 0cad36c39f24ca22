"""The authors' "linear" evaluation: a bottleneck of 128 units on frozen features."""

import keras
import numpy as np

_UNITS = 128
_DROPOUT = 0.9
_PENALTY = 0.1
_LEARNING_RATE = 5e-4


def bottleneck_probabilities(
    train_features,
    train_labels,
    test_features,
    num_classes,
    epochs,
    batch_size,
    seed,
    verbose,
):
    """Train the probe; return the probabilities of the test features."""
    model = bottleneck_probe(num_classes, seed)
    model.fit(
        _ShuffledBatches(train_features, train_labels, batch_size, seed),
        epochs=epochs,
        shuffle=False,  # `_ShuffledBatches` does it.
        verbose=verbose,
    )
    test_features = np.asarray(test_features, np.float32)
    probabilities = model.predict(test_features, batch_size=1024, verbose=0)
    return np.asarray(probabilities, np.float64)


def bottleneck_probe(num_classes, seed):
    """The probe, compiled as the authors do."""
    glorot = keras.initializers.GlorotNormal
    model = keras.Sequential(
        [
            keras.layers.Dense(_UNITS, kernel_initializer=glorot(seed)),
            keras.layers.Dropout(_DROPOUT, seed=seed),
            keras.layers.Dense(
                num_classes,
                activation="softmax",
                kernel_initializer=keras.initializers.GlorotUniform(seed + 1),
                kernel_regularizer=keras.regularizers.L2(_PENALTY),
            ),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(_LEARNING_RATE),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


class _ShuffledBatches(keras.utils.PyDataset):
    """All clips in another order each epoch, the same on all backends.

    `fit` would shuffle arrays by the global generator of the backend, which a probe
    has no business to seed.
    """

    def __init__(self, features, labels, batch_size, seed):
        super().__init__()
        self._features = np.asarray(features, np.float32)
        self._labels = labels
        self._batch_size = batch_size
        self._generator = np.random.default_rng(seed)
        self.on_epoch_end()

    def __len__(self):
        return -(-len(self._labels) // self._batch_size)

    def __getitem__(self, index):
        start = index * self._batch_size
        rows = self._order[start : start + self._batch_size]
        return self._features[rows], self._labels[rows]

    def on_epoch_end(self):
        self._order = self._generator.permutation(len(self._labels))
