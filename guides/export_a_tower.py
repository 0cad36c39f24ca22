"""
Title: Export a tower
Description: Export one modality of a model for another runtime.
Accelerator: none
"""

"""
## Introduction

A tower is the part of a model that maps batches of one modality to vectors. `export`
writes it as a SavedModel (from TensorFlow or JAX), as ONNX (TensorFlow or PyTorch), for
LiteRT (TensorFlow) or as a PyTorch program. The exported file runs without Keras and
keras_vatt.

## Export

The input is named after the modality, and the outputs are named as in `encode`. The
batch size is dynamic. Decoding and tokenization are not exported: the text tower takes
word IDs.
"""

import pathlib
import tempfile

import keras
import numpy as np

import keras_vatt
from keras_vatt.exporting import run_artifact

format = {"torch": "torch"}.get(keras.config.backend(), "tf_saved_model")
name = {"torch": "text_tower.pt2"}.get(format, "text_tower")
path = pathlib.Path(tempfile.mkdtemp()) / name

model = keras_vatt.VATT.from_preset("vatt_tiny_agnostic")
model.export(path, format=format, modality="text")
print("exported:", format, path.name)

"""
`format="onnx"` and `format="litert"` need `pip install "keras-vatt[export]"`.

## Compare

`run_artifact` runs an exported file with the runtime of its format.
"""

captions = ["a red star moving left", "a blue circle", "a green square"]
words = model.preprocessor({"text": captions})["text"]
outputs = run_artifact(format, path, {"text": words})
expected = model.encode(text=words)["text"]
for output, array in outputs.items():
    difference = np.abs(array - expected[output]).max() / np.abs(expected[output]).max()
    print(output, array.shape, f"differs by {difference:.1e}")
    assert difference < 1e-5

"""
## Classifiers

`classifier.export(path, format=...)` works in the same way for the classifiers, whose
output is `logits`. `model.tower("video")` returns the tower as a Keras model. Its
`clip_shape` argument sets an input shape that differs from the preprocessor's.
"""
