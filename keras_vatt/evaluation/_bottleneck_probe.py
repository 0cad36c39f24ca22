"""The "linear" evaluation of the VATT authors, with a bottleneck of 128 units."""

import functools

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
    """Trains the probe, and computes the probabilities of the test features."""
    model = bottleneck_probe(num_classes, seed)
    batches = _ShuffledBatches(train_features, train_labels, batch_size, epochs, seed)
    model.fit(batches, shuffle=False, verbose=verbose)
    test_features = np.asarray(test_features, np.float32)
    probabilities = model.predict(test_features, batch_size=1024, verbose=0)
    return np.asarray(probabilities, np.float64)


def bottleneck_probe(num_classes, seed):
    """Makes the probe, with the loss and the optimizer of the authors."""
    glorot_normal = keras.initializers.GlorotNormal
    model = keras.Sequential(
        [
            keras.layers.Dense(_UNITS, kernel_initializer=glorot_normal(seed)),
            keras.layers.Dropout(_DROPOUT, seed=seed),
            keras.layers.Dense(
                num_classes,
                activation="softmax",
                kernel_initializer=glorot_normal(seed + 1),
                kernel_regularizer=keras.regularizers.L2(_PENALTY),
            ),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(_LEARNING_RATE),
        loss="sparse_categorical_crossentropy",
    )
    return model


class _ShuffledBatches(keras.utils.PyDataset):
    """The batches of all epochs, shuffled in the same order on all backends.

    `fit` would shuffle arrays with the global random generator of the backend, which a
    probe should not seed. All epochs are one to `fit`, since starting an epoch takes
    longer than an epoch of a small train set.
    """

    def __init__(self, features, labels, batch_size, epochs, seed):
        super().__init__()
        self._features = np.asarray(features, np.float32)
        self._labels = labels
        self._batch_size = batch_size
        self._epochs = epochs
        self._seed = seed
        self._batches_per_epoch = -(-len(labels) // batch_size)
        self._order_of_epoch = functools.lru_cache(maxsize=1)(self._shuffled)

    def __len__(self):
        return self._epochs * self._batches_per_epoch

    def __getitem__(self, index):
        epoch, place = divmod(index, self._batches_per_epoch)
        start = place * self._batch_size
        rows = self._order_of_epoch(epoch)[start : start + self._batch_size]
        return self._features[rows], self._labels[rows]

    def _shuffled(self, epoch):
        generator = np.random.default_rng((self._seed, epoch))
        return generator.permutation(len(self._labels))
