"""Exported towers, run by the runtimes that they were exported for."""

import numpy as np


def run(format, path, inputs):
    """The outputs that an artifact gives for an array, by name, as NumPy arrays.

    Args:
        format: string.
        path: path of the artifact.
        inputs: dict with the name of the input and an array.
    """
    return _RUNTIMES[format](str(path), inputs)


def _saved_model(path, inputs):
    import tensorflow as tf

    serve = tf.saved_model.load(path).signatures["serving_default"]
    tensors = {name: tf.constant(array) for name, array in inputs.items()}
    return {name: output.numpy() for name, output in serve(**tensors).items()}


def _onnx(path, inputs):
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def _litert(path, inputs):
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(path).get_signature_runner("serving_default")
    return {name: np.array(output) for name, output in runner(**inputs).items()}


def _torch(path, inputs):
    import torch

    (array,) = inputs.values()
    with torch.no_grad():
        outputs = torch.export.load(path).module()(torch.tensor(array))
    return {name: output.numpy() for name, output in outputs.items()}


_RUNTIMES = {
    "tf_saved_model": _saved_model,
    "onnx": _onnx,
    "litert": _litert,
    "torch": _torch,
}
