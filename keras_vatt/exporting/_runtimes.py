"""Runs exported graphs in their runtimes."""

from __future__ import annotations

import os

import numpy as np


def run_artifact(
    format: str, filepath: str | os.PathLike, inputs: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Runs an exported graph and returns its outputs.

    Use it to compare the outputs with those of the model.

    Args:
        format: string, a key of `keras_vatt.exporting.FORMATS`.
        filepath: string or path of the file or folder.
        inputs: dict from the name of the input to an array.

    Returns:
        Dict from output name to NumPy array.

    Raises:
        ImportError: if the runtime of the format (tensorflow, onnxruntime,
            ai-edge-litert or torch) is not installed.

    Example:
    ```python
    model = keras_vatt.VATT.from_preset("vatt_tiny_agnostic")
    model.export("text_tower", format="tf_saved_model", modality="text")
    words = np.ones((3, 16), "int32")
    outputs = run_artifact("tf_saved_model", "text_tower", {"text": words})
    outputs["to_video"].shape  # (3, video_text_dim)
    ```
    """
    return _RUNTIMES[format](str(filepath), inputs)


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
