"""Datasets whose batches are checked on the host, on any backend."""

import keras

from keras_vatt._keras_internals import DataAdapter, get_data_adapter
from keras_vatt.training._own_errors import OwnErrors


def is_dataset(data):
    """Returns whether data come batch by batch, in one of the forms of Keras.

    Args:
        data: anything that `keras.Model.fit` takes.

    Returns:
        bool. `False` for arrays, and nests of them.
    """
    has_batches = hasattr(data, "__iter__") or isinstance(data, keras.utils.PyDataset)
    is_nest = isinstance(data, dict | list | tuple | str | DataAdapter)
    return has_batches and not is_nest and not hasattr(data, "shape")


class CheckedData(OwnErrors, DataAdapter):
    """A dataset, in any form that Keras takes, with a check of each batch.

    Errors of the check are raised unchanged, not wrapped by a data pipeline.

    Args:
        dataset: a `tf.data.Dataset`, `keras.utils.PyDataset`, PyTorch `DataLoader`,
            Grain dataset or generator.
        check: function of a batch as the dataset gives it, that raises an error.
        check_spec: the same for the `tf.TypeSpec`s of a batch, for which TensorFlow
            compiles its program before the first batch.
        **options: `shuffle` and `class_weight`, see `keras.Model.fit`.

    Example:
    ```python
    data = CheckedData(dataset, check, check_spec)
    with data.own_errors():
        model.fit(data)
    ```
    """

    def __init__(self, dataset, check, check_spec, **options):
        self._adapter = get_data_adapter(dataset, **options)
        self._check, self._check_spec = check, check_spec

    def get_numpy_iterator(self):
        return _CheckedBatches(self._adapter.get_numpy_iterator(), self._run)

    def get_jax_iterator(self):
        return iter(_CheckedBatches(self._adapter.get_jax_iterator(), self._run))

    def get_torch_dataloader(self):
        return _CheckedBatches(self._adapter.get_torch_dataloader(), self._run)

    def get_tf_dataset(self):
        dataset = self._adapter.get_tf_dataset()
        self._check_spec(dataset.element_spec)
        # A dataset that a strategy has distributed already has no `map`.
        return _mapped(dataset, self._run) if hasattr(dataset, "map") else dataset

    @property
    def num_batches(self):
        return self._adapter.num_batches

    @property
    def batch_size(self):
        return self._adapter.batch_size

    @property
    def has_partial_batch(self):
        return self._adapter.has_partial_batch

    @property
    def partial_batch_size(self):
        return self._adapter.partial_batch_size

    def on_epoch_begin(self):
        self._adapter.on_epoch_begin()

    def on_epoch_end(self):
        self._adapter.on_epoch_end()

    def _run(self, batch):
        with self._noted_failure():
            self._check(batch)


class _CheckedBatches:
    def __init__(self, batches, check):
        self._batches, self._check = batches, check

    def __iter__(self):
        for batch in self._batches:
            self._check(batch)
            yield batch


def _mapped(dataset, check):
    """A `tf.data.Dataset` with a check in Python of each of its elements."""
    import tensorflow as tf

    def checked(*elements):
        nest = elements[0] if len(elements) == 1 else elements
        leaves = keras.tree.flatten(nest)

        def run(*arrays):
            check(keras.tree.pack_sequence_as(nest, arrays))
            return True

        done = tf.numpy_function(run, leaves, tf.bool)
        with tf.control_dependencies([done]):
            return keras.tree.map_structure(tf.identity, nest)

    return dataset.map(checked)
