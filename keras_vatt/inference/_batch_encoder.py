"""A model as what an evaluation needs of it: arrays in, named arrays out."""

import numpy as np

# Which tower of a model takes a modality.
TOWERS = {"video": "video", "audio": "audio", "image": "video"}


class BatchEncoder:
    """The outputs of a model for a batch, as NumPy arrays.

    Args:
        model: a compiled or fresh `keras.Model`, whose output is a tensor, or a dict
            from name to tensor such as `PooledEncoder` gives.
        name: string, how an output that is one tensor is called. Defaults to
            `"logits"`.
    """

    def __init__(self, model, name="logits"):
        self._model = model
        self._name = name

    def encode(self, inputs):
        """Dict from name to float32 array of shape `(rows, dim)`."""
        outputs = self._model.predict_on_batch(inputs)
        if not isinstance(outputs, dict):
            outputs = {self._name: outputs}
        return {name: np.asarray(rows, np.float32) for name, rows in outputs.items()}
